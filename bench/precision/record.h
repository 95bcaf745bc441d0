/* record: one line of a precision study: one format at one piece of work, as a struct and as a
 * table of its fields. fields.def lists them once. */
#ifndef TARE_BENCH_PRECISION_RECORD_H
#define TARE_BENCH_PRECISION_RECORD_H

#include "model/precision.h"
#include "bench/precision/accuracy.h"
#include "bench/row/row.h"

typedef struct StudyRecord {
#define TEXT(name) FieldTEXT name;
#define INT(name)  FieldINT name;
#define REAL(name) FieldREAL name;
#include "bench/precision/fields.def"
#undef TEXT
#undef INT
#undef REAL
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

/* Everything missing but what it is about: support, instruction and status (ok, or unsupported with its
 * reason where the format is emulated and that was not asked for) follow from the format. */
void study_record_init(StudyRecord *r, const char *model, const char *work, Precision p,
                       bool include_emulated);
void study_record_release(StudyRecord *r);

const char *study_format_title(Precision p); /* "FP32", as studies spell it */

bool study_record_ok(const StudyRecord *r);
void study_record_fail(StudyRecord *r, const char *status, const char *reason);

typedef struct StudyField {
    enum { STUDY_TEXT, STUDY_INT, STUDY_REAL } kind;
    const char *name;
    size_t offset;
} StudyField;

extern const StudyField study_fields[];
extern const size_t num_study_fields;

/* The value as a CSV cell of at most `size` bytes, "" when missing; and as JSON, null when missing. */
void study_field_cell(const StudyField *f, const StudyRecord *r, char *cell, size_t size);
json_t *study_field_json(const StudyField *f, const StudyRecord *r);

#endif
