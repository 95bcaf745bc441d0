/* loader: finds the launcher of a row of several ranks and the plug-in of its MPI.
 *
 * One process never loads two. Which one: the launcher's variables tell a rank, and the Debian
 * packages of what is missing are named. */
#pragma once

#include "autograd/base.h"
#include "bench/ranks/plugin.h"

/* The plug-in of the MPI whose launcher has started this process: Open MPI's where no variable
 * tells. -1: it was not built. */
int comm_plugin_load(const CommPlugin **plugin, Err *err);

/* The words of the launcher's command before ours, `{ranks}` replaced; free with argv_free
 * (util/process.h). NULL or "": mpirun.openmpi, mpirun where there is none, with the options that
 * rows need. words[0] is the path of the program. -1: there is no such program, or no plug-in at
 * all. */
int launcher_words(const char *launcher, int64_t ranks, char ***words, Err *err);

/* Before a launcher is started: its ranks must not take the variables of another launcher, which
 * this process may have inherited, for those of their own. */
void launcher_forget_others(void);

/* This rank's place among those of its host, as the launcher tells; 0 of 1 where it does not. */
typedef struct LocalRank {
    int rank, size;
} LocalRank;
LocalRank local_rank(void);
