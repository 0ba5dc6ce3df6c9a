/* A stand-in for libnvidia-ml.so.1, for tests: the ABI is NVML's, the answers come from a file.
 *
 * The file's path is in ROOST_NVML_STUB; it is read again whenever it changes. Its lines are
 * "key=value"; tests/nvml_stub/scenario.py writes them and says what they mean. A key starts with
 * its subject: "sys", a GPU ("3"), all GPUs ("*"), or a MIG device ("3/1").
 *
 *   SUBJECT.error.CALL=CODE     the call answers with this NVML error; CALL may be "any"
 *   SUBJECT.hang.CALL=SECONDS   the call does not come back for so long, or until the file changes
 *   sys.keep_hanging=1          what hangs goes on hanging when the file changes
 *   SUBJECT.FIELD=VALUE ...     what the call answers; without the key it answers NOT_SUPPORTED
 *   event.N=GPU TYPE DATA       event number N, counted from 1
 *
 * Every call is counted in the file "<scenario>.calls", a table of {name, count}.
 * -DDRIVER_470 leaves out what drivers of that branch do not have.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stub.h"

typedef struct { char subject[16]; int gpu; } device;
typedef struct { uint64_t wanted[MAX_GPUS]; long last; } event_set;

typedef struct { u64 total, free, used; } memory_v1;
typedef struct { uint version; u64 total, reserved, free, used; } memory_v2;
typedef struct { uint gpu, memory; } utilization;
typedef struct { uint pid; u64 used; uint gpu_instance, compute_instance; } process;
typedef struct { uint version; int sensor, celsius; } temperature_v1;
typedef struct {
    char legacy[16]; uint domain, bus, device, device_id, subsystem; char bus_id[32];
} pci_info;
typedef struct {
    uint multiprocessors, copy, decoders, encoders, jpeg, ofa, gpu_slices, compute_slices;
    u64 memory_mib;
} attributes;
typedef struct {
    uint32_t field, scope; int64_t timestamp, latency; int type, result;
    union { double d; uint u; u64 ull; } value;
} field_value;
typedef struct { device *gpu; u64 type, data; uint gpu_instance, compute_instance; } event;

static device gpus[MAX_GPUS], migs[MAX_GPUS][MAX_MIG];
static int users; /* nvmlInit less nvmlShutdown */

/* The device's subject, or 0 for what is not a device of ours. */
static const char *subject_of(const device *d) {
    const char *p = (const char *)d;
    int ours = (p >= (char *)gpus && p < (char *)(gpus + MAX_GPUS)) ||
               (p >= (char *)migs && p < (char *)(migs + MAX_GPUS));
    return ours && d->subject[0] ? d->subject : 0;
}

static int is_mig(const device *d) { return strchr(d->subject, '/') != 0; }

#define ENTER(subject)                                         \
    do {                                                       \
        if (!users) return UNINITIALIZED;                      \
        int code = answer(__func__, subject);                  \
        if (code) return code;                                 \
    } while (0)

static int read_uints(const device *d, const char *key, uint **into, int n) {
    u64 value[8];
    if (numbers(subject_of(d), key, value, n) < n) return NOT_SUPPORTED;
    for (int i = 0; i < n; i++) *into[i] = (uint)value[i];
    return SUCCESS;
}

static int read_text(const char *subject, const char *key, char *into, uint size) {
    char value[256];
    if (!look_up(subject, key, value, sizeof value)) return NOT_SUPPORTED;
    if (strlen(value) >= size) return INSUFFICIENT_SIZE;
    strcpy(into, value);
    return SUCCESS;
}

/* ---- library and system ---- */

int nvmlInitWithFlags(uint flags) {
    (void)flags;
    int code = answer(__func__, "sys");
    if (code) return code;
    char found[16];
    if (!look_up(0, "sys.count", found, sizeof found)) return DRIVER_NOT_LOADED;
    users++;
    return SUCCESS;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void) {
    ENTER("sys");
    users--;
    return SUCCESS;
}

const char *nvmlErrorString(int code) {
    static __thread char words[32];
    snprintf(words, sizeof words, "stub error %d", code);
    return words;
}

#define SYSTEM_TEXT(call, key) \
    int call(char *into, uint size) { ENTER("sys"); return read_text("sys", key, into, size); }
SYSTEM_TEXT(nvmlSystemGetDriverVersion, "driver")
SYSTEM_TEXT(nvmlSystemGetNVMLVersion, "nvml")

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    ENTER("sys");
    u64 value;
    if (numbers("sys", "cuda", &value, 1) < 1) return NOT_SUPPORTED;
    *version = (int)value;
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(uint *count) {
    ENTER("sys");
    u64 value = 0;
    numbers("sys", "count", &value, 1);
    *count = (uint)value;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(uint index, device **out) {
    u64 count = 0;
    if (!users) return UNINITIALIZED;
    numbers("sys", "count", &count, 1);
    if (index >= count || index >= MAX_GPUS) return INVALID_ARGUMENT;
    snprintf(gpus[index].subject, sizeof gpus[index].subject, "%u", index);
    gpus[index].gpu = (int)index;
    ENTER(gpus[index].subject);
    *out = &gpus[index];
    return SUCCESS;
}

/* ---- one device: tables of call and key ---- */

#define TEXT(call, key) \
    int call(device *d, char *into, uint size) { \
        ENTER(subject_of(d)); return read_text(d->subject, key, into, size); }
#define ONE(call, key) \
    int call(device *d, uint *a) { \
        ENTER(subject_of(d)); uint *into[] = {a}; return read_uints(d, key, into, 1); }
#define TWO(call, key) \
    int call(device *d, uint *a, uint *b) { \
        ENTER(subject_of(d)); uint *into[] = {a, b}; return read_uints(d, key, into, 2); }
#define LONG(call, key) \
    int call(device *d, u64 *a) { \
        ENTER(subject_of(d)); \
        return numbers(d->subject, key, a, 1) == 1 ? SUCCESS : NOT_SUPPORTED; }
#define CHOSEN(call, key) /* "key.CHOICE" */ \
    int call(device *d, int choice, uint *a) { \
        char full[KEY]; \
        snprintf(full, KEY, key ".%d", choice); \
        ENTER(subject_of(d)); uint *into[] = {a}; return read_uints(d, full, into, 1); }
#define MIG_ONLY(call, key) \
    int call(device *d, uint *a) { \
        ENTER(subject_of(d)); \
        if (!is_mig(d)) return INVALID_ARGUMENT; \
        uint *into[] = {a}; return read_uints(d, key, into, 1); }
#define NO_ANSWER(call) /* only ever an error, of the scenario or NOT_SUPPORTED */ \
    int call(device *d) { ENTER(subject_of(d)); return NOT_SUPPORTED; }

TEXT(nvmlDeviceGetName, "name")
TEXT(nvmlDeviceGetUUID, "uuid")
ONE(nvmlDeviceGetMinorNumber, "minor")
ONE(nvmlDeviceGetArchitecture, "architecture")
TWO(nvmlDeviceGetCudaComputeCapability, "compute_capability")
ONE(nvmlDeviceGetPersistenceMode, "persistence")
TWO(nvmlDeviceGetEccMode, "ecc_mode")
TWO(nvmlDeviceGetMigMode, "mig_mode")
ONE(nvmlDeviceGetMaxMigDeviceCount, "mig_max")
ONE(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_generation")
ONE(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width")
ONE(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_generation_now")
ONE(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width_now")
ONE(nvmlDeviceGetPcieReplayCounter, "pcie_replay")
ONE(nvmlDeviceGetPowerUsage, "power_mw")
ONE(nvmlDeviceGetEnforcedPowerLimit, "power_limit_mw")
LONG(nvmlDeviceGetTotalEnergyConsumption, "energy_mj")
CHOSEN(nvmlDeviceGetClockInfo, "clock")
CHOSEN(nvmlDeviceGetTemperature, "temperature")
CHOSEN(nvmlDeviceGetTemperatureThreshold, "threshold")
ONE(nvmlDeviceGetPerformanceState, "pstate")
LONG(nvmlDeviceGetCurrentClocksThrottleReasons, "clock_reasons")
LONG(nvmlDeviceGetSupportedEventTypes, "event_types")
ONE(nvmlDeviceGetFanSpeed, "fan")
TWO(nvmlDeviceGetEncoderUtilization, "encoder")
TWO(nvmlDeviceGetDecoderUtilization, "decoder")
ONE(nvmlDeviceGetRetiredPagesPendingStatus, "retired_pending")
MIG_ONLY(nvmlDeviceGetGpuInstanceId, "gpu_instance")
MIG_ONLY(nvmlDeviceGetComputeInstanceId, "compute_instance")
CHOSEN(nvmlDeviceGetPcieThroughput, "pcie_throughput")
ONE(nvmlDeviceGetNumFans, "fans")
ONE(nvmlDeviceGetBrand, "brand")
#ifndef DRIVER_470
LONG(nvmlDeviceGetCurrentClocksEventReasons, "clock_reasons")
NO_ANSWER(nvmlDeviceGetFanSpeedRPM)
NO_ANSWER(nvmlDeviceGetMinMaxFanSpeed)
NO_ANSWER(nvmlDeviceGetNumaNodeId)
NO_ANSWER(nvmlDeviceGetDriverModel_v2)
NO_ANSWER(nvmlDeviceGetLastBBXFlushTime)
NO_ANSWER(nvmlDeviceGetConfComputeGpuCertificate)
#endif

int nvmlDeviceGetPciInfo_v3(device *d, pci_info *info) {
    ENTER(subject_of(d));
    memset(info, 0, sizeof *info);
    return read_text(d->subject, "pci", info->bus_id, sizeof info->bus_id);
}

int nvmlDeviceGetUtilizationRates(device *d, utilization *u) {
    ENTER(subject_of(d));
    uint *into[] = {&u->gpu, &u->memory};
    return read_uints(d, "utilization", into, 2);
}

int nvmlDeviceGetMemoryInfo(device *d, memory_v1 *m) { /* reserved counts as used */
    ENTER(subject_of(d));
    u64 value[3];
    if (numbers(d->subject, "memory", value, 3) < 3) return NOT_SUPPORTED;
    *m = (memory_v1){value[0], value[0] - value[1] - value[2], value[1] + value[2]};
    return SUCCESS;
}

#ifndef DRIVER_470
int nvmlDeviceGetMemoryInfo_v2(device *d, memory_v2 *m) {
    ENTER(subject_of(d));
    u64 value[3];
    if (m->version != (sizeof *m | 2u << 24)) return VERSION_MISMATCH;
    if (numbers(d->subject, "memory", value, 3) < 3) return NOT_SUPPORTED;
    m->total = value[0];
    m->used = value[1];
    m->reserved = value[2];
    m->free = value[0] - value[1] - value[2];
    return SUCCESS;
}

int nvmlDeviceGetTemperatureV(device *d, temperature_v1 *t) {
    ENTER(subject_of(d));
    u64 value;
    if (t->version != (sizeof *t | 1u << 24)) return VERSION_MISMATCH;
    if (numbers(d->subject, "temperature.0", &value, 1) < 1) return NOT_SUPPORTED;
    t->celsius = (int)value;
    return SUCCESS;
}
#endif

int nvmlDeviceGetFieldValues(device *d, int count, field_value *fields) {
    ENTER(subject_of(d));
    for (int i = 0; i < count; i++) {
        char key[KEY];
        u64 value;
        snprintf(key, KEY, "field.%u", fields[i].field);
        fields[i].type = 1; /* unsigned int */
        fields[i].result = numbers(d->subject, key, &value, 1) == 1 ? SUCCESS : NOT_SUPPORTED;
        if (!fields[i].result) fields[i].value.u = (uint)value;
    }
    return SUCCESS;
}

int nvmlDeviceGetTotalEccErrors(device *d, int type, int counter, u64 *count) {
    char key[KEY];
    snprintf(key, KEY, "ecc.%d.%d", type, counter);
    ENTER(subject_of(d));
    return numbers(d->subject, key, count, 1) == 1 ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetRemappedRows(device *d, uint *corrected, uint *uncorrected, uint *pending,
                              uint *failed) {
    ENTER(subject_of(d));
    uint *into[] = {corrected, uncorrected, pending, failed};
    return read_uints(d, "remapped", into, 4);
}

int nvmlDeviceGetRetiredPages(device *d, int cause, uint *count, u64 *addresses) {
    char key[KEY];
    u64 value[64];
    snprintf(key, KEY, "retired.%d", cause);
    ENTER(subject_of(d));
    int n = numbers(d->subject, key, value, 64);
    if (n < 0) return NOT_SUPPORTED;
    uint room = *count;
    *count = (uint)n;
    if (room < (uint)n) return INSUFFICIENT_SIZE;
    if (addresses) memcpy(addresses, value, (size_t)n * sizeof *addresses);
    return SUCCESS;
}

/* ---- processes: "compute.0=PID BYTES GPU_INSTANCE COMPUTE_INSTANCE", from 0 without a gap ---- */

static int processes(const device *d, const char *kind, uint *count, process *into) {
    char key[KEY], value[64];
    u64 numbers_of[4];
    uint n = 0, room = *count;
    snprintf(key, KEY, "%s.supported", kind);
    if (look_up(d->subject, key, value, sizeof value) && value[0] == '0') return NOT_SUPPORTED;
    for (;; n++) {
        snprintf(key, KEY, "%s.%u", kind, n);
        if (numbers(d->subject, key, numbers_of, 4) != 4) break;
        if (n < room && into)
            into[n] = (process){(uint)numbers_of[0], numbers_of[1], (uint)numbers_of[2],
                                (uint)numbers_of[3]};
    }
    *count = n;
    return n > room ? INSUFFICIENT_SIZE : SUCCESS;
}

#define PROCESSES(call, kind) \
    int call(device *d, uint *count, process *into) { \
        ENTER(subject_of(d)); return processes(d, kind, count, into); }
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2, "compute")
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2, "graphics")
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v2, "mps")
#ifndef DRIVER_470
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, "compute")
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics")
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps")
#endif

/* ---- MIG ---- */

int nvmlDeviceGetMigDeviceHandleByIndex(device *d, uint index, device **out) {
    ENTER(subject_of(d));
    if (is_mig(d)) return INVALID_ARGUMENT;
    if (index >= MAX_MIG) return NOT_FOUND;
    device *mig = &migs[d->gpu][index];
    char uuid[96];
    snprintf(mig->subject, sizeof mig->subject, "%d/%u", d->gpu, index);
    mig->gpu = d->gpu;
    if (!look_up(mig->subject, "uuid", uuid, sizeof uuid)) return NOT_FOUND;
    *out = mig;
    return SUCCESS;
}

int nvmlDeviceGetAttributes_v2(device *d, attributes *a) {
    ENTER(subject_of(d));
    u64 mib;
    if (numbers(d->subject, "memory_mib", &mib, 1) < 1) return NOT_SUPPORTED;
    memset(a, 0, sizeof *a);
    a->memory_mib = mib;
    return SUCCESS;
}

/* ---- events: no history, only what the file gains while somebody waits ---- */

static int find_event(long number, u64 *into) {
    char key[KEY];
    snprintf(key, KEY, "event.%ld", number);
    return numbers(0, key, into, 3) == 3;
}

int nvmlEventSetCreate(event_set **out) {
    ENTER("sys");
    u64 value[3];
    event_set *set = calloc(1, sizeof *set);
    while (find_event(set->last + 1, value)) set->last++;
    *out = set;
    return SUCCESS;
}

int nvmlDeviceRegisterEvents(device *d, u64 types, event_set *set) {
    ENTER(subject_of(d));
    u64 supported = 0;
    numbers(d->subject, "event_types", &supported, 1);
    if (types & ~supported) return NOT_SUPPORTED;
    set->wanted[d->gpu] |= types;
    return SUCCESS;
}

int nvmlEventSetWait_v2(event_set *set, event *out, uint milliseconds) {
    const struct timespec pause = {0, 50 * 1000 * 1000};
    u64 value[3];
    ENTER("sys");
    for (uint waited = 0;; waited += 50) {
        while (find_event(set->last + 1, value)) {
            set->last++;
            if (value[0] >= MAX_GPUS || !(set->wanted[value[0]] & value[1])) continue;
            *out = (event){&gpus[value[0]], value[1], value[2], 0xffffffffu, 0xffffffffu};
            return SUCCESS;
        }
        if (!users) return UNINITIALIZED;
        if (waited >= milliseconds) return TIMEOUT;
        nanosleep(&pause, 0);
    }
}

int nvmlEventSetFree(event_set *set) {
    ENTER("sys");
    free(set);
    return SUCCESS;
}
