/* interrupt: SIGINT, SIGTERM and SIGHUP become a flag that long loops look at, so that everything
 * finished so far is on disk before the program ends with 130. A second signal ends it at once. One
 * that was ignored when the program started stays ignored. */
#pragma once

#include <stdbool.h>

/* Installs the handlers; call once, before a verb starts anything. A signal then makes blocking
 * system calls return EINTR. */
void interrupt_install(void);
/* The same signals end the program at once with this exit code: for a verb that has nothing to keep
 * of what it began. */
void interrupt_quit(int code);
bool interrupted(void);
/* Sets the flag when the signal reached our child instead of us. */
void interrupt_note(void);
