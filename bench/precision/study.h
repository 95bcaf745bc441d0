/* study: one model in several number formats: `tare precision`.
 *
 * A study has subjects (models that are there, with their data); a piece of work on a subject
 * (times of one batch and length, accuracy, perplexity) appends one record a format, fp32 first,
 * for the others are compared with it. All formats run in this process. A format that this CPU can
 * only emulate is left out, or measured and not ranked. Pieces of work are in time.c and quality.c;
 * what the figures mean together is judged by orderings.h; nothing is written here. */
#pragma once

#include "model/model.h"
#include "bench/compare/output.h"
#include "bench/machine/machine.h"
#include "bench/machine/energy.h"
#include "bench/machine/plausible.h"
#include "bench/precision/config.h"
#include "bench/precision/orderings.h"
#include "bench/train/data.h"

typedef struct StudySubject {
    const StudyModel *asked;
    bool there;
    Err left_out; /* why it is not there; "" else */
    ModelFiles files;
    size_t disk_bytes[NUM_PRECISIONS];
    StDtype stored;      /* of most weights in its files */
    Labels labels;       /* of asked->test */
    LabelledTexts texts; /* its lines, in their order */
    Examples examples;   /* the same as ids */
    Examples windows;    /* of asked->text */
    size_t context;      /* positions of each */
    int32_t first_id;    /* of a text, in the place of a window's first token; -1: none */
} StudySubject;

typedef struct Study {
    const StudyConfig *config;
    bool include_emulated;
    double other_cpus_before; /* how many others kept busy before anything was started */
    Guard guard;              /* holds times against the machine's peaks */
    Energy energy;
    IdlePower idle;
    CpuTime begun;
    double other_cpus;      /* how many other programs kept busy meanwhile; NaN until study_end */
    size_t kept_bytes;      /* of fp32's logits at a time, but one window's at least */
    StudySubject *subjects; /* [config->num_models] */
    StudyRecord *records;
    size_t num_records;
    Orderings orderings; /* of all records so far */
} Study;

typedef struct StudyOptions {
    bool include_emulated;
    double model_watts; /* 0 = no estimate of energy */
} StudyOptions;

/* Finds (or makes) the models, reads their data, opens the energy counters. What is missing is left
 * out with a line on stderr that says how to get it; -1 for what is there and faulty, for a model
 * that cannot do what is asked, and when no model is there. Release also after -1. */
int study_open(Study *s, const StudyConfig *c, const StudyOptions *o, Err *err);
void study_release(Study *s);

/* Measures idle power where there is a counter, 10 s before and, unless it was interrupted, 10 s
 * after all work; study_end also fills the energies of all records. study_judge may be called at
 * any time. */
void study_begin(Study *s);
void study_end(Study *s);
void study_judge(Study *s);

/* The pieces of work. Each appends config->num_formats records; a format that fails says so in its
 * record. -1: interrupted, and nothing was appended. */
int study_time(Study *s, const StudySubject *subject, size_t batch, size_t seq_len, Err *err);
int study_accuracy(Study *s, const StudySubject *subject, Err *err);
int study_perplexity(Study *s, const StudySubject *subject, Err *err);

/* ---- for the pieces of work ---- */

/* One record a format, fresh. */
StudyRecord *study_new_records(const Study *s, const StudySubject *subject, const char *work);
/* Appends them to the study's, or, -1, drops them where we were interrupted. Either way it takes
 * them. */
int study_finish(Study *s, StudyRecord *records, Err *err);

/* Its output has NaN or infinities: what would be measured of it means nothing. */
void study_fail_not_finite(StudyRecord *record);

/* The subject in the record's format, loaded, as the options say but for precision and threads;
 * `beside`: bytes that its use takes besides. False: the record says why, and there is nothing to
 * release. */
bool study_load(const Study *s, const StudySubject *subject, const ModelOptions *options,
                size_t beside, StudyRecord *record, Model *m);

/* ---- report.c ---- */

/* Of a Study: formats, times, sizes, accuracy, perplexity, expectations. */
extern const Report study_report;

/* Copies the start of a text for Markdown: at most `bytes` bytes, whole characters, one line,
 * blanks for what would end a table's cell, "..." behind a cut. `out` has room for bytes + 4. */
void text_start(const char *text, size_t bytes, char *out);
