/* study: the rows of `tare attention`, run by sweep/grid_row.h.
 *
 *   attention_row_plan -> row_fits -> parity, once a shape -> attention_run -> result_judge -> file
 *
 * The one idea: both kinds of fresh process, of a row's time and of a shape's parity, are this
 * program's `tare attention ... --result-fd N`. */
#pragma once

#include "bench/sweep/grid_row.h"

extern const GridVerb attention_verb;

/* For config_load. */
const ConfigFile *attention_config_file(void);

/* In the fresh process: the study's only row, or its parity; the answer as JSON on the open
 * descriptor. */
int attention_study_answer(GridStudy *s, bool parity, int fd, Err *err);
