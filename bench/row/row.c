/* row: see row.h. */
#include "bench/row/row.h"

#include <string.h>

#include "bench/machine/threads.h"
#include "model/decoder.h"
#include "model/families/shapes.h"
#include "model/precision.h"
#include "bench/ranks/parallel.h"

_Static_assert(offsetof(RowResult, config) == 0, "a config field has one offset in both structs");

#define RANGE(low, high) .min = (low), .max = (high)
#define ONE_OF(names)    .choices = (names)
#define ANY              .choices = NULL
#define POSITIVE         .positive = true

const Field row_fields[] = {
#define MODEL(kind, name, option_, allowed, doc_)                                                  \
    FIELD(RowConfig, kind, #name, name, .group = FIELD_MODEL, .unit = "", .doc = (doc_),           \
          .option = (option_), allowed),
#define SHAPE(kind, name, option_, fallback_, allowed, doc_)                                       \
    FIELD(RowConfig, kind, #name, name, .group = FIELD_SHAPE, .unit = "", .doc = (doc_),           \
          .option = (option_), .fallback = (fallback_), allowed),
#define CONFIG(kind, name, option_, fallback_, allowed, doc_)                                      \
    FIELD(RowConfig, kind, #name, name, .group = FIELD_CONFIG, .unit = "", .doc = (doc_),          \
          .option = (option_), .fallback = (fallback_), allowed),
#define RESULT(kind, name, unit_, doc_)                                                            \
    FIELD(RowResult, kind, #name, name, .group = FIELD_RESULT, .unit = (unit_), .doc = (doc_)),
#include "bench/row/fields.def"
#undef CONFIG
#undef RESULT
};
const size_t num_row_fields = COUNT_OF(row_fields);

const Schema row_schema = {"a row", row_fields, COUNT_OF(row_fields), sizeof(RowResult)};

const Field *row_field(const char *name)
{
    return schema_field(&row_schema, name);
}

bool status_is_bad(const char *status)
{
    return strcmp(status, STATUS_FAILED) == 0 || strcmp(status, STATUS_IMPLAUSIBLE) == 0;
}

void row_result_init(RowResult *r)
{
    schema_init(&row_schema, r);
}
