/* A libnvidia-ml.so.1 without a driver: what it answers is in the file that FAKE_NVML names, read anew at each call.
 *
 * Lines of `key=value` words, the first word says what of:
 *   driver init=CODE
 *   device uuid= name= minor= util= used= total= reserved= error=CODE mig=0|1 accounts=0|1 hang=0|1 listing=CODE
 *   instance device= uuid= name= used= total=
 *   process device= [instance=] pid= memory= sm= peak= list=compute|graphics|mps
 * A file of the same name and `.read` is made whenever processes are asked for.
 * `util=-1` and `memory=-1` are "not supported" and "not available". A device with `error` answers nothing but that.
 * Layouts of structures and numbers of errors: NVML API reference. Built with -DOLD_DRIVER it lacks what drivers of
 * 2021 lack: version 3 of the process lists and version 2 of the memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };
enum { MOST_DEVICES = 16, MOST_PROCESSES = 256, TEXT = 96 };

typedef unsigned long long u64;

typedef struct {
    char uuid[TEXT], name[TEXT];
    int minor, util, error, mig, accounts, hang, listing, parent;
    long long used, total, reserved;
} device_t;

typedef struct {
    int device, instance, sm;
    unsigned pid;
    long long memory, peak;
    char list[TEXT];
} process_t;

typedef struct {
    int init, devices, instances, processes;
    device_t device[MOST_DEVICES], instance[MOST_DEVICES];
    process_t process[MOST_PROCESSES];
} state_t;

static const char *word(const char *line, const char *key, const char *otherwise, char *into) {
    char wanted[TEXT];
    snprintf(wanted, sizeof wanted, " %s=", key);
    const char *at = strstr(line, wanted);
    snprintf(into, TEXT, "%s", at ? at + strlen(wanted) : otherwise);
    into[strcspn(into, " \n")] = 0;
    return into;
}

static long long number(const char *line, const char *key, long long otherwise) {
    char text[TEXT];
    word(line, key, "", text);
    return *text ? atoll(text) : otherwise;
}

static device_t read_device(const char *line) {
    device_t one = {.minor = number(line, "minor", 0), .util = number(line, "util", -1),
                    .error = number(line, "error", OK), .mig = number(line, "mig", 0),
                    .accounts = number(line, "accounts", 0), .hang = number(line, "hang", 0),
                    .listing = number(line, "listing", OK), .parent = number(line, "device", -1),
                    .used = number(line, "used", 0), .total = number(line, "total", 0),
                    .reserved = number(line, "reserved", 0)};
    word(line, "uuid", "", one.uuid);
    word(line, "name", "Fake", one.name);
    return one;
}

static state_t look(void) {
    state_t state = {0};
    char line[1024];
    FILE *file = fopen(getenv("FAKE_NVML"), "r");
    if (!file) {
        state.init = 9; /* driver not loaded */
        return state;
    }
    while (fgets(line, sizeof line, file)) {
        if (!strncmp(line, "driver", 6)) {
            state.init = number(line, "init", OK);
        } else if (!strncmp(line, "device", 6)) {
            state.device[state.devices++] = read_device(line);
        } else if (!strncmp(line, "instance", 8)) {
            state.instance[state.instances++] = read_device(line);
        } else if (!strncmp(line, "process", 7)) {
            process_t *one = &state.process[state.processes++];
            *one = (process_t){.device = number(line, "device", 0), .instance = number(line, "instance", -1),
                               .sm = number(line, "sm", -1), .pid = number(line, "pid", 0),
                               .memory = number(line, "memory", -1), .peak = number(line, "peak", 0)};
            word(line, "list", "compute", one->list);
        }
    }
    fclose(file);
    return state;
}

/* A handle is 1000 and the device's place, or 2000 and the instance's. */
static int find(const void *handle, state_t *state, device_t *found) {
    long place = (long)handle;
    *state = look();
    int is_instance = place >= 2000, index = (int)(place % 1000);
    if (index >= (is_instance ? state->instances : state->devices)) return INVALID;
    *found = is_instance ? state->instance[index] : state->device[index];
    while (found->hang) { /* a device that falls off the bus */
        usleep(5000);
        *state = look();
        *found = state->device[index];
    }
    return found->error;
}

#define FIND(handle)                        \
    state_t state;                          \
    device_t device;                        \
    int code = find(handle, &state, &device); \
    if (code != OK) return code

static int is_on(const process_t *process, const void *handle) {
    long place = (long)handle;
    if (place >= 2000) return process->instance == place % 1000;
    return process->instance < 0 && process->device == place % 1000;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; return look().init; }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the fake"; }

int nvmlDeviceGetCount_v2(unsigned *count) { *count = look().devices; return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    *handle = (void *)(1000L + index);
    FIND(*handle);
    return OK;
}

int nvmlDeviceGetUUID(void *handle, char *text, unsigned size) {
    FIND(handle);
    snprintf(text, size, "%s", device.uuid);
    return OK;
}

int nvmlDeviceGetName(void *handle, char *text, unsigned size) {
    FIND(handle);
    snprintf(text, size, "%s", device.name);
    return OK;
}

int nvmlDeviceGetMinorNumber(void *handle, unsigned *minor) {
    FIND(handle);
    *minor = device.minor;
    return OK;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
    FIND(handle);
    *current = *pending = device.mig;
    return OK;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) {
    FIND(handle);
    *count = 7;
    return OK;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **instance) {
    FIND(handle);
    unsigned place = 0;
    for (int each = 0; each < state.instances; each++)
        if (state.instance[each].parent == (long)handle % 1000 && place++ == index) {
            *instance = (void *)(2000L + each);
            return OK;
        }
    return NOT_FOUND;
}

typedef struct { unsigned gpu, memory; } utilization_t;
int nvmlDeviceGetUtilizationRates(void *handle, utilization_t *rates) {
    FIND(handle);
    if (device.util < 0) return NOT_SUPPORTED;
    *rates = (utilization_t){device.util, 0};
    return OK;
}

typedef struct { u64 total, free, used; } memory_t;
int nvmlDeviceGetMemoryInfo(void *handle, memory_t *memory) {
    FIND(handle);
    u64 used = device.used + device.reserved; /* version 1 does not tell them apart */
    *memory = (memory_t){device.total, device.total - used, used};
    return OK;
}

#ifndef OLD_DRIVER
typedef struct { unsigned version; u64 total, reserved, free, used; } memory_v2_t;
int nvmlDeviceGetMemoryInfo_v2(void *handle, memory_v2_t *memory) {
    FIND(handle);
    memory->total = device.total, memory->reserved = device.reserved, memory->used = device.used;
    memory->free = device.total - device.reserved - device.used;
    return OK;
}
#endif

typedef struct { unsigned pid; u64 memory; unsigned gpu_instance, compute_instance; } info_t;
static int list(void *handle, unsigned *count, info_t *infos, const char *which) {
    FIND(handle);
    char read[1024];
    snprintf(read, sizeof read, "%s.read", getenv("FAKE_NVML"));
    fclose(fopen(read, "w"));
    if (device.listing != OK) return device.listing;
    unsigned found = 0, room = *count;
    for (int each = 0; each < state.processes; each++) {
        process_t *process = &state.process[each];
        if (!is_on(process, handle) || strcmp(process->list, which)) continue;
        if (infos && found < room) infos[found] = (info_t){process->pid, (u64)process->memory, ~0u, ~0u};
        found++;
    }
    *count = found;
    return found > (infos ? room : 0) ? TOO_SMALL : OK;
}

#ifdef OLD_DRIVER
#define VERSION(name) name##_v2
#else
#define VERSION(name) name##_v3
#endif
int VERSION(nvmlDeviceGetComputeRunningProcesses)(void *handle, unsigned *count, info_t *infos) {
    return list(handle, count, infos, "compute");
}
int VERSION(nvmlDeviceGetGraphicsRunningProcesses)(void *handle, unsigned *count, info_t *infos) {
    return list(handle, count, infos, "graphics");
}
int VERSION(nvmlDeviceGetMPSComputeRunningProcesses)(void *handle, unsigned *count, info_t *infos) {
    return list(handle, count, infos, "mps");
}

typedef struct { unsigned pid; u64 time; unsigned sm, memory, encoder, decoder; } sample_t;
int nvmlDeviceGetProcessUtilization(void *handle, sample_t *samples, unsigned *count, u64 since) {
    FIND(handle);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    u64 when = (u64)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    unsigned found = 0;
    for (int each = 0; each < state.processes; each++) {
        process_t *process = &state.process[each];
        if (!is_on(process, handle) || process->sm < 0 || when <= since) continue;
        if (samples && found < *count) samples[found] = (sample_t){process->pid, when, process->sm, 0, 0, 0};
        found++;
    }
    if (!found) return NOT_FOUND;
    int enough = samples && found <= *count;
    *count = found;
    return enough ? OK : TOO_SMALL;
}

int nvmlDeviceGetAccountingMode(void *handle, unsigned *mode) {
    FIND(handle);
    *mode = device.accounts;
    return OK;
}

typedef struct { unsigned gpu, memory; u64 peak, time, start; unsigned running, rest[5]; } stats_t;
int nvmlDeviceGetAccountingStats(void *handle, unsigned pid, stats_t *stats) {
    FIND(handle);
    for (int each = 0; each < state.processes; each++)
        if (is_on(&state.process[each], handle) && state.process[each].pid == pid) {
            *stats = (stats_t){.peak = state.process[each].peak, .running = 1};
            return OK;
        }
    return NOT_FOUND;
}
