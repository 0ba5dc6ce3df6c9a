/* A stand-in for libcuda.so.1: no GPU, no kernels, main memory in place of the device's.
 *
 * What a driver would do and a program may get wrong is kept: things belong to a context that must
 * be current; what is begun on a stream is done only when someone waits for it; copies must lie
 * within one allocation; whatever is freed must be there; and any call can be made to fail.
 * Time is virtual: a copy takes 1 ms for 10 MB, stub_kernel what it is told, and half of that in a
 * graph. What is begun on a stream that is captured goes into the graph and is not done.
 *
 * Environment, read when it is loaded:
 *   ROOST_CUDA_STUB_FAIL    "N CODE": call number N (from 1) answers CODE
 *   ROOST_CUDA_STUB_DEVICES how many GPUs there are; 1 unless said
 *   ROOST_CUDA_STUB_MEMORY  their memory in MiB; 16384 unless said
 *   ROOST_CUDA_STUB_CAPTURE what stub_kernel does on a stream that is captured: "refuse" it, and
 *                           the capture is void; go "elsewhere", so that nothing is captured
 *   ROOST_CUDA_STUB_REPORT  a file for a line at the end: calls, things still held
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101,
       INVALID_CONTEXT = 201, INVALID_HANDLE = 400, ILLEGAL_STATE = 401, NOT_READY = 600,
       ILLEGAL_ADDRESS = 700, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901 };

static const struct { int code; const char *name, *text; } ERRORS[] = {
    {OK, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE",
     "the operation cannot be performed in the present state"},
    {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
};

#define VOID 2
#define NEVER -2.0
#define PENDING -1.0

typedef struct Thing {
    char kind; /* m: memory, s: stream, e: event, g: graph, x: graph to be launched */
    int capturing; /* a stream; VOID: something was refused */
    struct Work *work; /* of a stream that is captured, of a graph */
    size_t size;
    double at; /* of an event; NEVER, PENDING or virtual ms */
    struct Thing *next;
    char *data;
} Thing;

typedef struct Work { /* on a stream */
    Thing *stream, *event;
    char *to;
    const char *from;
    size_t size;
    int to_device, from_device, fills;
    unsigned char fill;
    double milliseconds;
    struct Work *next;
} Work;

static Thing *things;
static Work *begun;
static long calls, fail_at, fail_with, retained, devices = 1, mebibytes = 16384;
static double now_ms;
static char CONTEXT;
static __thread void *current;

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void loaded(void) {
    const char *fail = getenv("ROOST_CUDA_STUB_FAIL");
    if (fail) sscanf(fail, "%ld %ld", &fail_at, &fail_with);
    devices = number("ROOST_CUDA_STUB_DEVICES", devices);
    mebibytes = number("ROOST_CUDA_STUB_MEMORY", mebibytes);
}

/* For tests in the same process: begin anew; the answer is how many calls there were. */
long stub_begin(long fail_call, long code) {
    long before = calls;
    calls = 0, fail_at = fail_call, fail_with = code;
    return before;
}

/* Things that nobody gave back: memory, streams, events, contexts. */
long stub_held(void) {
    long count = retained;
    for (Thing *each = things; each; each = each->next) count++;
    return count;
}

static int forget(char kind, void *handle);

void stub_clear(void) {
    while (things) forget(things->kind, things->kind == 'm' ? (void *)things->data : (void *)things);
}

__attribute__((destructor)) static void ended(void) {
    const char *path = getenv("ROOST_CUDA_STUB_REPORT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%ld %ld\n", calls, stub_held());
    fclose(file);
}

#define CALL if (++calls == fail_at) return (int)fail_with
#define IN_CONTEXT CALL; if (!current || !retained) return INVALID_CONTEXT

static Thing *find(char kind, const void *handle) {
    for (Thing *each = things; each; each = each->next)
        if (each->kind == kind && (kind == 'm' ? (void *)each->data : (void *)each) == handle)
            return each;
    return NULL;
}

static int within(const char *address, size_t size) {
    for (Thing *each = things; each; each = each->next)
        if (each->kind == 'm' && address >= each->data && address + size <= each->data + each->size)
            return 1;
    return 0;
}

static Thing *make(char kind, size_t size) {
    Thing *made = calloc(1, sizeof *made);
    made->kind = kind, made->size = size, made->at = NEVER;
    if (kind == 'm') made->data = calloc(1, size);
    made->next = things;
    return things = made;
}

static void drop(Work *work) {
    while (work) {
        Work *next = work->next;
        free(work);
        work = next;
    }
}

static int forget(char kind, void *handle) {
    Thing *thing = find(kind, handle);
    if (!thing) return kind == 'm' ? INVALID_VALUE : INVALID_HANDLE;
    for (Thing **at = &things; *at; at = &(*at)->next)
        if (*at == thing) { *at = thing->next; break; }
    for (Work **at = &begun; *at;) {
        Work *work = *at;
        if (work->stream == thing || work->event == thing) { *at = work->next; free(work); }
        else at = &work->next;
    }
    drop(thing->work);
    free(thing->data);
    free(thing);
    return OK;
}

static void append(Work **at, Work work) {
    Work *made = malloc(sizeof *made);
    *made = work, made->next = NULL;
    while (*at) at = &(*at)->next;
    *at = made;
}

static int begin(Work work) {
    if (!find('s', work.stream)) return INVALID_HANDLE;
    append(work.stream->capturing ? &work.stream->work : &begun, work);
    return OK;
}

/* Do what was begun on a stream. */
static int finish(Thing *stream) {
    int code = OK;
    for (Work **at = &begun; *at;) {
        Work *work = *at;
        if (work->stream != stream) { at = &work->next; continue; }
        *at = work->next;
        now_ms += work->milliseconds + (work->milliseconds ? 0 : work->size / 1e7);
        if (work->event) work->event->at = now_ms;
        if ((work->to_device && !within(work->to, work->size)) ||
            (work->from_device && !within(work->from, work->size))) code = ILLEGAL_ADDRESS;
        else if (work->fills) memset(work->to, work->fill, work->size);
        else if (work->size) memcpy(work->to, work->from, work->size);
        free(work);
    }
    return code;
}

int cuGetErrorName(int code, const char **text) {
    for (size_t n = 0; n < sizeof ERRORS / sizeof *ERRORS; n++)
        if (ERRORS[n].code == code) { *text = ERRORS[n].name; return OK; }
    *text = NULL;
    return INVALID_VALUE;
}

int cuGetErrorString(int code, const char **text) {
    for (size_t n = 0; n < sizeof ERRORS / sizeof *ERRORS; n++)
        if (ERRORS[n].code == code) { *text = ERRORS[n].text; return OK; }
    *text = NULL;
    return INVALID_VALUE;
}

int cuInit(unsigned flags) { CALL; return flags ? INVALID_VALUE : devices ? OK : NO_DEVICE; }
int cuDeviceGetCount(int *count) { CALL; *count = (int)devices; return OK; }
int cuDeviceGet(int *device, int index) {
    CALL;
    *device = index;
    return index >= 0 && index < devices ? OK : INVALID_DEVICE;
}
int cuDeviceGetName(char *name, int size, int device) {
    CALL;
    snprintf(name, (size_t)size, "libcuda stub %d", device);
    return OK;
}
int cuDeviceGetAttribute(int *value, int which, int device) {
    CALL;
    *value = which == 16 ? 72 : which == 75 ? 8 : which == 76 ? 6 : -1;
    return device < devices && *value >= 0 ? OK : INVALID_VALUE;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    CALL;
    *bytes = (size_t)mebibytes << 20;
    return device < devices ? OK : INVALID_DEVICE;
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
    CALL;
    if (device >= devices) return INVALID_DEVICE;
    retained++;
    *context = &CONTEXT;
    return OK;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
    CALL;
    if (device >= devices || !retained) return INVALID_CONTEXT;
    retained--;
    return OK;
}
int cuCtxSetCurrent(void *context) {
    CALL;
    if (context && context != &CONTEXT) return INVALID_CONTEXT;
    current = context;
    return OK;
}
int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
    IN_CONTEXT;
    size_t used = 0;
    for (Thing *each = things; each; each = each->next) used += each->size;
    *total = (size_t)mebibytes << 20;
    *free_bytes = *total - used;
    return OK;
}
int cuMemAlloc_v2(uint64_t *address, size_t size) {
    IN_CONTEXT;
    size_t used = size;
    for (Thing *each = things; each; each = each->next) used += each->size;
    if (!size) return INVALID_VALUE;
    if (used > (size_t)mebibytes << 20) return OUT_OF_MEMORY;
    *address = (uint64_t)(uintptr_t)make('m', size)->data;
    return OK;
}
int cuMemFree_v2(uint64_t address) { IN_CONTEXT; return forget('m', (void *)(uintptr_t)address); }
int cuStreamCreate(void **stream, unsigned flags) {
    IN_CONTEXT;
    *stream = make('s', 0);
    return flags > 1 ? INVALID_VALUE : OK;
}
int cuStreamDestroy_v2(void *stream) { IN_CONTEXT; return forget('s', stream); }
int cuStreamSynchronize(void *stream) {
    IN_CONTEXT;
    if (!find('s', stream)) return INVALID_HANDLE;
    Thing *thing = stream;
    if (!thing->capturing) return finish(thing);
    thing->capturing = VOID;
    return CAPTURE_UNSUPPORTED;
}
int cuEventCreate(void **event, unsigned flags) {
    IN_CONTEXT;
    *event = make('e', 0);
    return flags ? INVALID_VALUE : OK;
}
int cuEventDestroy_v2(void *event) { IN_CONTEXT; return forget('e', event); }
int cuEventRecord(void *event, void *stream) {
    IN_CONTEXT;
    if (!find('e', event)) return INVALID_HANDLE;
    ((Thing *)event)->at = PENDING;
    return begin((Work){.stream = stream, .event = event});
}
int cuEventSynchronize(void *event) {
    IN_CONTEXT;
    if (!find('e', event)) return INVALID_HANDLE;
    for (Work *each = begun; each; each = each->next)
        if (each->event == event) return finish(each->stream);
    return OK;
}
int cuEventElapsedTime(float *value, void *start, void *end) {
    IN_CONTEXT;
    if (!find('e', start) || !find('e', end)) return INVALID_HANDLE;
    double from = ((Thing *)start)->at, to = ((Thing *)end)->at;
    *value = (float)(to - from);
    return from == NEVER || to == NEVER ? INVALID_HANDLE : from < 0 || to < 0 ? NOT_READY : OK;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, void *stream) {
    IN_CONTEXT;
    return begin((Work){.stream = stream, .to = (char *)(uintptr_t)to, .from = from, .size = size,
                        .to_device = 1});
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream) {
    IN_CONTEXT;
    return begin((Work){.stream = stream, .to = to, .from = (char *)(uintptr_t)from, .size = size,
                        .from_device = 1});
}

int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t size, void *stream) {
    IN_CONTEXT;
    return begin((Work){.stream = stream, .to = (char *)(uintptr_t)to,
                        .from = (char *)(uintptr_t)from, .size = size, .to_device = 1,
                        .from_device = 1});
}
int cuMemsetD8Async(uint64_t to, unsigned char fill, size_t size, void *stream) {
    IN_CONTEXT;
    return begin((Work){.stream = stream, .to = (char *)(uintptr_t)to, .size = size,
                        .to_device = 1, .fills = 1, .fill = fill});
}

int cuStreamBeginCapture_v2(void *stream, int mode) {
    IN_CONTEXT;
    if (!find('s', stream)) return INVALID_HANDLE;
    if (mode < 0 || mode > 2) return INVALID_VALUE;
    Thing *thing = stream;
    if (thing->capturing) return ILLEGAL_STATE;
    thing->capturing = 1;
    return OK;
}
static Thing *with_work(char kind, const Work *work) {
    Thing *made = make(kind, 0);
    for (; work; work = work->next) append(&made->work, *work);
    return made;
}
int cuStreamEndCapture(void *stream, void **graph) {
    IN_CONTEXT;
    *graph = NULL;
    if (!find('s', stream)) return INVALID_HANDLE;
    Thing *thing = stream;
    int was = thing->capturing;
    if (was == 1) *graph = with_work('g', thing->work);
    drop(thing->work);
    thing->work = NULL, thing->capturing = 0;
    return was == 1 ? OK : was == VOID ? CAPTURE_INVALIDATED : ILLEGAL_STATE;
}
int cuGraphGetNodes(void *graph, void **nodes, size_t *count) {
    IN_CONTEXT;
    if (!find('g', graph)) return INVALID_HANDLE;
    if (nodes) return INVALID_VALUE; /* nobody asked for them yet */
    *count = 0;
    for (const Work *each = ((Thing *)graph)->work; each; each = each->next) ++*count;
    return OK;
}
int cuGraphInstantiateWithFlags(void **made, void *graph, unsigned long long flags) {
    IN_CONTEXT;
    if (!find('g', graph)) return INVALID_HANDLE;
    if (flags) return INVALID_VALUE;
    *made = with_work('x', ((Thing *)graph)->work);
    return OK;
}
int cuGraphInstantiate_v2(void **made, void *graph, void *node, char *log, size_t size) {
    if (node || log || size) return INVALID_VALUE;
    return cuGraphInstantiateWithFlags(made, graph, 0);
}
int cuGraphLaunch(void *graph, void *stream) {
    IN_CONTEXT;
    if (!find('x', graph) || !find('s', stream)) return INVALID_HANDLE;
    for (const Work *each = ((Thing *)graph)->work; each; each = each->next) {
        Work work = *each;
        work.stream = stream, work.milliseconds /= 2;
        begin(work);
    }
    return OK;
}
int cuGraphDestroy(void *graph) { IN_CONTEXT; return forget('g', graph); }
int cuGraphExecDestroy(void *graph) { IN_CONTEXT; return forget('x', graph); }

/* What stands for a network here: bytes from one place to another, in so much virtual time. */
int stub_kernel(uint64_t to, uint64_t from, size_t size, double milliseconds, void *stream) {
    const char *captured = getenv("ROOST_CUDA_STUB_CAPTURE");
    Thing *on = find('s', stream);
    if (captured && on && on->capturing) {
        if (strcmp(captured, "refuse")) return OK;
        on->capturing = VOID;
        return CAPTURE_UNSUPPORTED;
    }
    return begin((Work){.stream = stream, .to = (char *)(uintptr_t)to,
                        .from = (char *)(uintptr_t)from, .size = size, .to_device = 1,
                        .from_device = 1, .milliseconds = milliseconds});
}
