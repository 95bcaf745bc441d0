/* counters: what a reading of the clock costs, and what the kernel counts around one run.
 *
 * The one idea: nothing is subtracted from a time; the cost of clock_ns is measured and reported,
 * and counters are read outside the timed window. Where a trial is stamped is decided in run.c. */
#pragma once

#include "bench/row/samples.h"

typedef struct ClockCost {
    double call_ns;       /* one reading, median of many */
    double resolution_ns; /* smallest difference above zero that was seen */
} ClockCost;

ClockCost clock_cost(void); /* takes about a millisecond */

/* Totals of this process since its start (steal: of the machine since boot). INT_MISSING if the
 * kernel has no figure: /proc/self/task/N/schedstat needs CONFIG_SCHED_INFO. */
typedef struct Counters {
    int64_t cpu_ns, minor_faults, major_faults, voluntary_switches, involuntary_switches;
    int64_t runqueue_ns, steal_ns;
} Counters;

/* Read the counters around a run. Reading costs CPU time and may fault, so counters_before ends
 * with getrusage and the CPU clock, and counters_after starts with them: the cost stays outside. */
void counters_before(Counters *c);
void counters_after(Counters *c);

/* Empties runqueue_ns of every sample where the counters take longer to read than the median run:
 * most of the waits between two readings are then those of reading. */
void counters_doubt(Samples *s);

/* Fills the columns of `s` that are differences of counters; INT_MISSING if either side is. */
void counters_difference(const Counters *before, const Counters *after, Sample *s);

/* VmHWM of a process in bytes: the most memory it held at once. (ru_maxrss would be inherited
 * from a larger parent.) INT_MISSING when /proc does not tell. */
int64_t peak_rss_bytes(pid_t pid);
