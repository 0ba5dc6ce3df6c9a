/* What scenario.c offers to stub.c: the answers of the scenario file, and the counting of calls. */
#ifndef ROOST_STUB_H
#define ROOST_STUB_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

enum {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, TIMEOUT = 10, VERSION_MISMATCH = 25
};
enum { MAX_GPUS = 16, MAX_MIG = 8, KEY = 128 };

typedef unsigned int uint;
typedef unsigned long long u64;

/* The value of "subject.key" as a copy in `into`, or 0. What "3" lacks, "*" may have. Without a
 * subject the key stands alone. */
int look_up(const char *subject, const char *key, char *into, size_t size);

/* Up to `most` numbers of "subject.key"; how many there were, or -1 without such a key. */
int numbers(const char *subject, const char *key, u64 *into, int most);

/* Count the call, hang if the scenario says so, and give the error that it asks for. */
int answer(const char *call, const char *subject);

#pragma GCC visibility pop

#endif
