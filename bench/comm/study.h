/* study: the rows of `tare comm`, one job after the other, run by sweep/grid_row.h. Without a
 * config they are the all-reduce grid of the course CS336. */
#pragma once

#include "bench/sweep/grid_row.h"

extern const GridVerb comm_verb;

/* For config_load. */
const ConfigFile *comm_config_file(void);

/* In the fresh process: the study's only row, as JSON on the open descriptor: by a job, or as one
 * of its ranks. */
int comm_study_answer(GridStudy *s, bool is_rank, int fd, Err *err);
