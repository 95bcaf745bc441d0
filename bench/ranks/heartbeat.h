/* heartbeat: finds a rank that is stopped and a host or link that is gone, which MPI does not
 * notice: the others would wait for ever.
 *
 * The one idea: every rank holds a TCP connection to rank 0; both ends send a byte twice a second,
 * and whoever hears nothing for HEARTBEAT_SECONDS says so on stderr and ends its process, upon
 * which the launcher ends the job. A rank that dies or ends closes its connection, which is no
 * alarm: the launcher has noticed. */
#pragma once

#include "bench/ranks/thread.h"

#define HEARTBEAT_SECONDS 4

/* All ranks of a started CommThread at once. A beating ends with the process. -1: no socket could
 * be made. */
int heartbeat_start(CommThread *t, Err *err);
/* Before leaving the job: the silence of a rank that has ended is no alarm. */
void heartbeat_stop(void);
