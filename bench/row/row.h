/* row: one line of a result file, as a struct with a Schema.
 *
 * The one idea: fields.def lists the columns once; the structs, the CSV cells, the JSON and the
 * options of `tare run` follow from it. What a config means is config.h's business, files are
 * result/csv.h's; nothing here measures anything. */
#pragma once

#include "bench/util/fields.h"

enum {
    ROW_SCHEMA = 3,
    ROW_ID_SCHEMA = 2, /* from here on a row keeps its row_id */
};

/* What a trial of a row does, in this order. */
#define ROW_TASKS "loss|prefill|decode"
typedef enum RowTask { TASK_LOSS, TASK_PREFILL, TASK_DECODE } RowTask;
enum { NUM_TASKS = TASK_DECODE + 1 };

/* What a row is told to do: everything its row_id stands for. */
typedef struct RowConfig {
#define CONFIG(kind, name, ...) Field##kind name;
#define RESULT(...)
#include "bench/row/fields.def"
#undef CONFIG
#undef RESULT
} RowConfig;

/* What came out. `config` as it was asked for, but for num_warmups that it found itself. Owns
 * nothing: assignment copies it. */
typedef struct RowResult {
    RowConfig config;
#define CONFIG(...)
#define RESULT(kind, name, ...) Field##kind name;
#include "bench/row/fields.def"
#undef CONFIG
#undef RESULT
} RowResult;

#define STATUS_OK             "ok"
#define STATUS_PLANNED        "planned"
#define STATUS_SKIPPED_MEMORY "skipped_memory"
#define STATUS_SKIPPED_TIME   "skipped_time"
#define STATUS_UNSUPPORTED    "unsupported"
#define STATUS_FAILED         "failed"
#define STATUS_IMPLAUSIBLE    "implausible"

/* failed or implausible, for which a command ends with 1 */
bool status_is_bad(const char *status);

/* Field.group of a column. A field that is no result has the same offset in RowConfig and
 * RowResult: the functions of util/fields.h take either. */
typedef enum FieldGroup { FIELD_MODEL, FIELD_SHAPE, FIELD_CONFIG, FIELD_RESULT } FieldGroup;

extern const Field row_fields[];
extern const size_t num_row_fields;
extern const Schema row_schema; /* of a RowResult: row_fields */

const Field *row_field(const char *name); /* NULL when there is none */

/* Everything missing, the config too; row_config_init gives it its defaults. */
void row_result_init(RowResult *r);
