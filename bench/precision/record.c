/* record: see record.h. */
#include "bench/precision/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/compare/output.h"

static const Field fields[] = {
#define STUDY(kind, name) FIELD(StudyRecord, kind, #name, name, .digits = REPORT_DIGITS),
#include "bench/precision/fields.def"
#undef STUDY
};
const Schema study_schema = {"a record", fields, COUNT_OF(fields), sizeof(StudyRecord)};

void study_record_init(StudyRecord *r, const char *model, const char *work, Precision p,
                       bool include_emulated)
{
    Support support = precision_support(p);
    schema_init(&study_schema, r);
    r->precision = p;
    r->energy_flaw = "";
    r->ranked = support != SUPPORT_EMULATED;
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
    free(r->flip_list.at);
}

const char *study_format_title(Precision p)
{
    static const char *const titles[NUM_PRECISIONS] = {
        [PRECISION_FP32] = "FP32",   [PRECISION_FP16] = "FP16", [PRECISION_BF16] = "BF16",
        [PRECISION_MIXED] = "MIXED", [PRECISION_INT8] = "INT8", [PRECISION_Q8_0] = "Q8_0",
        [PRECISION_Q4_0] = "Q4_0"};
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
