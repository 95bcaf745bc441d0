/* placement: keeps the threads of a team off the CPU of its leader.
 *
 * A thread that slept between two parallel regions may wake on the CPU of the thread that woke it,
 * and stay there: two threads then take turns on one CPU while another is idle (Linux 6.18 with 2
 * CPUs: calls of 1.8 ms took 3.6). Pinning all threads would prevent that, but child processes
 * inherit a pin. So only a thread found on the leader's CPU is barred from that CPU. The system
 * chooses among all others and places the leader.
 *
 * Where OMP_PROC_BIND or OMP_PLACES is set, OpenMP places the threads, and nothing is mended. It
 * pins the initial thread before main starts. placement_unpin keeps the pin from the processes we
 * start. */
#pragma once

#include <sched.h>

/* Call it in a parallel region: notes the CPU of this thread. */
void placement_note(void);

/* Call it as the leader, between regions: bars threads from the leader's CPU. Costs some ten
 * nanoseconds, and a system call for each thread that has to move. */
void placement_mend(void);

/* Gives this thread the CPUs of all OpenMP places, which are those that the process was started
 * with; without a pin it changes nothing. `pinned` gets the mask from before, for
 * sched_setaffinity; NULL: not wanted. Call it before exec and before the mask is read. Takes no
 * lock and no memory. */
void placement_unpin(cpu_set_t *pinned);
