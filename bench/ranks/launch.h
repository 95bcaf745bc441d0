/* launch: one job of several ranks, from the side of the process that starts it.
 *
 * The one idea: this process stands between a sweep and the launcher and answers for the whole job.
 * It takes the answer of rank 0 from the launcher's standard output, which comes from any host;
 * adopts the ranks that a killed launcher leaves behind and sees each of them end; and removes the
 * job's folder, in which MPI keeps its shared memory. When the sweep dies, it ends the job first;
 * when it is killed itself, a process that it has forked removes the folder.
 * What a rank does is ranks.h. */
#pragma once

#include <stdio.h>

#include "autograd/base.h"

/* Runs argv, a command of this program without its name, in `ranks` processes. Caller frees
 * *answer, all that rank 0 wrote to its standard output from the first '{' at the beginning of a
 * line on. chatter: see child_run_printing (util/process.h), which it is for. -1: the launcher or a
 * rank failed, with the reason of the rank that knew it. */
int ranks_launch(char *const *argv, int64_t ranks, const char *launcher, FILE *chatter,
                 char **answer, Err *err);
