/* machine: the machine and the build that a result belongs to, as far as Linux tells.
 *
 * The one idea: every reading is a small function of files under a root folder ("" = the real
 * machine), so tests can show it another machine. It measures nothing and judges nothing: doctor
 * does. What a machine does not tell is empty, NaN or INT_MISSING, never a guess. */
#pragma once

#include <sched.h>
#include <stddef.h>

#include "bench/util/fields.h"

typedef struct Machine {
    char cpu_model[64];
    int64_t cpus_online, cpus_allowed; /* of the machine; in the mask this process started with */
    int64_t cores_allowed;             /* physical cores of the allowed CPUs */
    char cpu_list[256];                /* the allowed ones as the kernel lists them: "0-3,8" */
    double cpu_quota;         /* CPUs' worth of time that the cgroup allows; NaN = no limit */
    int64_t memory_available; /* MemAvailable, bytes */
    int64_t memory_limit;     /* what the cgroup leaves; INT_MISSING = no limit */
    char huge_pages[16];      /* transparent: always, madvise or never */
    bool gives_pages_back;    /* free pages go back to the host of a virtual machine */
    char governor[32];        /* of CPU 0's frequency */
    double max_mhz;           /* the highest clock that the system names */
    int64_t turbo;            /* 1 = the clock may rise above its base */
    int64_t smt;              /* 1 = several threads share a core */
    char clock_source[32];
    double load;         /* 1-minute load average, this process included */
    char hypervisor[32]; /* "" = none seen */
} Machine;

void machine_read(Machine *c, const char *root);

/* The physical cores that a set of CPUs belongs to, by the topology in root/sys/devices/system/cpu;
 * INT_MISSING where it is not told for every CPU. */
int64_t machine_cores(const char *root, const cpu_set_t *cpus);

/* The first line of the small file root/path without blanks around it, "" when there is none; and
 * as a whole number, INT_MISSING for any other text. */
void machine_line(const char *root, const char *path, char *line, size_t size);
int64_t machine_number(const char *root, const char *path);

/* What one process may allocate: the smaller of available memory and what the cgroup leaves.
 * INT_MISSING when neither is known. */
int64_t machine_memory(const Machine *c);

/* Machine.cpu_quota alone. */
double machine_cpu_quota(const char *root);

/* memory = "auto": machine_memory less 512 MiB for the rest of the machine; INT_MISSING when that
 * is not known: then nothing is refused for its memory. */
int64_t memory_auto_limit(void);

/* Asked before any memory is touched: the system would grant it and kill us later. -1: "WHO needs
 * 2 GiB, but only 1 GiB can be used; ADVICE". */
int memory_check(size_t bytes, const char *who, const char *advice, Err *err);

/* CPU time so far, in s: of all CPUs since boot, and of this process and its children that have
 * ended; NaN if unknown. */
typedef struct CpuTime {
    double busy, stolen, total; /* stolen: the host ran others meanwhile */
    double own;
} CpuTime;

CpuTime machine_cpu_time(const char *root);

/* CPU time so far, in ms, of all threads of a process of this user; NaN if unknown. */
double process_cpu_ms(pid_t pid);

/* The stolen share of the time between two readings; NaN if unknown or if no time has passed. */
double machine_steal_fraction(CpuTime before, CpuTime after);

/* How many of `cpus` other programs kept busy between two readings; NaN as above. A machine is not
 * quiet from CPUS_IN_USE on. */
#define CPUS_IN_USE 0.25
double machine_other_cpus(CpuTime before, CpuTime after, double cpus);
