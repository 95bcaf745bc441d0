/* study: the rows of `tare comm`, one job after the other, into a result file.
 *
 * The one idea: every selected row ends up in the file, also those that do not fit, as soon as it
 * is finished. Keys and layout of the config are a sweep's (util/grid.h). */
#pragma once

#include <stdio.h>

#include "bench/comm/row.h"
#include "bench/util/grid.h"

typedef struct CommStudy {
    Grid config;
    CommRow *rows; /* in the order of the config */
    bool *selected, *in_file;
    size_t count;
} CommStudy;

/* For config_load. */
const ConfigFile *comm_config_file(void);

/* Reads the config, NULL = the all-reduce grid of the course CS336, and selects the rows whose name
 * matches (NULL = all). -1 leaves nothing to release. */
int comm_study_init(CommStudy *s, const char *config_path, const TextList *settings,
                    const char *filter, Err *err);
void comm_study_release(CommStudy *s);

/* Runs what is selected. Ends early, and in order, when interrupted(). -1: the result file cannot
 * be used, or no process can be made. */
int comm_study_run(CommStudy *s, const char *out, bool overwrite, FILE *log, Err *err);

/* The rows in the file, as `format`. Returns how many failed. */
size_t comm_study_show(const CommStudy *s, const char *format, FILE *out);

/* In the fresh process: the study's only row, as JSON on the open descriptor: by a job, or as one
 * of its ranks. */
int comm_study_answer(CommStudy *s, bool is_rank, int fd, Err *err);
