/* study: runs the rows of an attention config, one fresh process after the other, into a result
 * file.
 *
 *   attention_expand -> row_fits -> parity, once a shape -> attention_run -> result_judge -> file
 *
 * The one idea: every selected row ends up in the file, also those that do not fit, as soon as it
 * is finished. Both kinds of process are this program's `tare attention ... --result-fd N`. */
#pragma once

#include <stdio.h>

#include "bench/attention/config.h"

typedef struct AttentionStudy {
    AttentionConfig config;
    AttentionRow *rows; /* in the order of the config */
    bool *selected, *in_file;
    size_t count;
} AttentionStudy;

/* Reads the config and selects the rows whose name matches (NULL = all). -1 leaves nothing to
 * release. */
int attention_study_init(AttentionStudy *s, const char *config_path, const TextList *settings,
                         const char *filter, Err *err);
void attention_study_release(AttentionStudy *s);

/* Bytes that a row may need: what the config says, or what there is. */
int64_t attention_memory_limit(const AttentionStudy *s);

/* Runs what is selected. Ends early, and in order, when interrupted(). -1: the result file cannot
 * be used, or no process can be made. */
int attention_study_run(AttentionStudy *s, const char *out, bool overwrite, FILE *log, Err *err);

/* The rows in the file, as `format`. Returns how many failed or are implausible. */
size_t attention_study_show(const AttentionStudy *s, const char *format, FILE *out);

/* In the fresh process: the study's only row, or its parity; the answer as JSON on the open
 * descriptor. */
int attention_study_answer(AttentionStudy *s, bool parity, int fd, Err *err);
