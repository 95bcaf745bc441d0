/* placement: keeps the threads of a team off the CPU of the thread that leads it.
 *
 * A thread that slept between two parallel regions may be woken on the CPU of the thread that wakes it, and then
 * stays there: two threads take turns on one CPU while another is idle (Linux 6.18 with 2 CPUs: calls of
 * 1.8 ms took 3.6). Pinning all threads would cure it, but children inherit a pin. So only a thread that
 * was found on the leader's CPU is forbidden that one, until it is found there again. Where it may run
 * otherwise, and everything about the leader, is left to the system. OMP_PROC_BIND and its like win. */
#ifndef TARE_AUTOGRAD_KERNELS_PLACEMENT_H
#define TARE_AUTOGRAD_KERNELS_PLACEMENT_H

/* In a parallel region: remembers on which CPU this thread runs. */
void placement_note(void);

/* By the leader, between regions. Costs some ten nanoseconds, and a system call where a thread must move. */
void placement_mend(void);

#endif
