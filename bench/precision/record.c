/* record: see record.h. */
#include "bench/precision/record.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/util/number_json.h"

const StudyField study_fields[] = {
#define TEXT(name) {STUDY_TEXT, #name, offsetof(StudyRecord, name)},
#define INT(name)  {STUDY_INT, #name, offsetof(StudyRecord, name)},
#define REAL(name) {STUDY_REAL, #name, offsetof(StudyRecord, name)},
#include "bench/precision/fields.def"
#undef TEXT
#undef INT
#undef REAL
};

const size_t num_study_fields = COUNT_OF(study_fields);

void study_record_init(StudyRecord *r, const char *model, const char *work, Precision p,
                       bool include_emulated)
{
    Support support = precision_support(p);
    *r = (StudyRecord){.precision = p, .energy_flaw = "", .ranked = support != SUPPORT_EMULATED};
    for (size_t i = 0; i < num_study_fields; i++) {
        char *at = (char *)r + study_fields[i].offset;
        if (study_fields[i].kind == STUDY_INT)
            *(int64_t *)at = INT_MISSING;
        else if (study_fields[i].kind == STUDY_REAL)
            *(double *)at = NAN;
    }
    text_set(r->model, model);
    text_set(r->work, work);
    text_set(r->format, precision_name(p));
    text_set(r->support, support_name(support));
    text_set(r->instruction, product_instruction(precision_product(p)));
    text_set(r->status, STATUS_OK);
    if (support == SUPPORT_EMULATED && !include_emulated) {
        FieldTEXT reason;
        snprintf(reason, sizeof reason, "emulated on this CPU, it lacks %s", precision_missing(p));
        study_record_fail(r, STATUS_UNSUPPORTED, reason);
    }
}

void study_record_release(StudyRecord *r)
{
    free(r->ms);
    free(r->joules);
    free(r->seconds);
    flip_list_release(&r->flip_list);
}

const char *study_format_title(Precision p)
{
    static const char *const titles[NUM_PRECISIONS] = {[PRECISION_FP32] = "FP32",
                                                       [PRECISION_FP16] = "FP16",
                                                       [PRECISION_BF16] = "BF16",
                                                       [PRECISION_MIXED] = "MIXED",
                                                       [PRECISION_INT8] = "INT8"};
    return titles[p];
}

bool study_record_ok(const StudyRecord *r)
{
    return strcmp(r->status, STATUS_OK) == 0;
}

void study_record_fail(StudyRecord *r, const char *status, const char *reason)
{
    text_set(r->status, status);
    text_set(r->status_reason, reason);
    r->ranked = false;
}

void study_field_cell(const StudyField *f, const StudyRecord *r, char *cell, size_t size)
{
    const char *at = (const char *)r + f->offset;
    *cell = '\0';
    if (f->kind == STUDY_TEXT)
        snprintf(cell, size, "%s", at);
    else if (f->kind == STUDY_INT && *(const int64_t *)at != INT_MISSING)
        snprintf(cell, size, "%" PRId64, *(const int64_t *)at);
    else if (f->kind == STUDY_REAL && !isnan(*(const double *)at))
        snprintf(cell, size, "%.9g", *(const double *)at);
}

json_t *study_field_json(const StudyField *f, const StudyRecord *r)
{
    const char *at = (const char *)r + f->offset;
    if (f->kind == STUDY_TEXT && *at)
        return json_string(at);
    if (f->kind == STUDY_INT && *(const int64_t *)at != INT_MISSING)
        return json_integer(*(const int64_t *)at);
    if (f->kind == STUDY_REAL)
        return number_json(*(const double *)at);
    return json_null();
}
