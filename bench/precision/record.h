/* record: one line of a precision study: one format at one piece of work, as a struct and as a
 * Schema. fields.def lists its columns once. */
#pragma once

#include "model/precision.h"
#include "bench/row/row.h"

/* A text that the two formats label differently. */
typedef struct Flip {
    size_t text; /* from 0 */
    int32_t right, before, after;
    double margin; /* of the fp32 logits between their best and the label given now */
} Flip;

typedef struct FlipList {
    Flip *at;
    size_t count;
} FlipList;

typedef struct StudyRecord {
#define STUDY(kind, name) Field##kind name;
#include "bench/precision/fields.def"
#undef STUDY
    Precision precision;
    bool ranked; /* it was measured and is not emulated */
    /* of work = time, [rounds] each, in their order */
    double *ms;              /* a call */
    double *joules;          /* a whole turn, idle power included; NaN = not known */
    double *seconds;         /* a whole turn */
    int64_t calls;           /* a turn */
    bool untimed_call;       /* goes before each turn */
    const char *energy_flaw; /* why the first of `joules` that is not known is not; "" */
    FlipList flip_list;      /* of work = accuracy */
} StudyRecord;

extern const Schema study_schema;

/* Sets model, work and format, and what follows from the format: support, instruction and status
 * (ok, or unsupported with its reason where the format is emulated and that was not asked for). */
void study_record_init(StudyRecord *r, const char *model, const char *work, Precision p,
                       bool include_emulated);
void study_record_release(StudyRecord *r);

const char *study_format_title(Precision p); /* "FP32", as studies spell it */

bool study_record_ok(const StudyRecord *r);
void study_record_fail(StudyRecord *r, const char *status, const char *reason);
