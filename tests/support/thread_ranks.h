/* thread_ranks: a plug-in whose ranks are threads of one process, so that what ranks compute can be
 * compared in memory, without MPI. It has no sums of its own (Comm.use_mpi). */
#pragma once

#include "bench/ranks/comm.h"

enum { MOST_THREAD_RANKS = 8 };

/* The next `size` calls of start make one job. */
const CommPlugin *thread_ranks(int size);
