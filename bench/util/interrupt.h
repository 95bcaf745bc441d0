/* interrupt: SIGINT, SIGTERM and SIGHUP become a flag that long loops look at, so that everything finished
 * so far is on disk before the program ends with 130. A second signal ends it at once. One that was
 * ignored when the program started stays ignored. */
#ifndef TARE_BENCH_UTIL_INTERRUPT_H
#define TARE_BENCH_UTIL_INTERRUPT_H

#include <stdbool.h>

/* Call once, before a verb starts anything. Blocking system calls then return EINTR when a signal comes. */
void interrupt_install(void);
bool interrupted(void);
void interrupt_note(void); /* as if the signal had come to us: it came to our child */

#endif
