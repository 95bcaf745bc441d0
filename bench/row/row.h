/* row: one line of a result file, as a struct and as a table of its fields.
 *
 * The one idea: fields.def lists the columns once; the structs, the CSV cells, the JSON and the
 * options of `tare run` are loops over the table made from it. What a config means is config.h's
 * business, files are result/csv.h's; nothing here measures anything. */
#ifndef TARE_BENCH_ROW_ROW_H
#define TARE_BENCH_ROW_ROW_H

#include <jansson.h>

#include "autograd/base.h"
#include "bench/util/fields.h"

enum { TEXT_SIZE = 512, ROW_SCHEMA = 2 };

typedef char FieldTEXT[TEXT_SIZE];
typedef bool FieldBOOL;
typedef int64_t FieldINT;
typedef double FieldREAL;

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

typedef enum FieldKind { FIELD_TEXT, FIELD_BOOL, FIELD_INT, FIELD_REAL } FieldKind;
typedef enum FieldGroup { FIELD_MODEL, FIELD_CONFIG, FIELD_RESULT } FieldGroup;

typedef struct Field {
    FieldKind kind;
    FieldGroup group;
    const char *name, *unit, *doc;
    size_t offset;        /* in RowResult, and so in RowConfig for a config field */
    const char *option;   /* of `tare run`; NULL = none */
    const char *fallback; /* the text it is set to by default, or NULL */
    const char *choices;  /* TEXT: "a|b|c", or NULL for any */
    int64_t min, max;     /* INT: inclusive */
} Field;

extern const Field row_fields[];
extern const size_t num_row_fields;

const Field *row_field(const char *name); /* NULL when there is none */

/* Copies text into a TEXT field, cutting what does not fit. */
void text_set(FieldTEXT field, const char *text);

/* Everything missing, the config too; row_config_init gives it its defaults. */
void row_result_init(RowResult *r);

/* The value as a CSV cell: True or False, REAL with the fewest digits that read back as the same
 * double, "" when missing. `cell` has room for TEXT_SIZE bytes. */
void field_cell(const Field *f, const RowResult *r, char *cell);

/* Reads a cell back: what field_cell writes, and any number strtod takes in full. A cell of another
 * type, a choice that does not exist or a number out of range is an error that names the column. An
 * empty cell is missing; for BOOL it is an error. */
int field_parse(const Field *f, RowResult *r, const char *cell, Err *err);

/* One object, a key per column; missing is null. row_from_json fails on an unknown key or a value of
 * another type; a key that is not there is missing. */
json_t *row_to_json(const RowResult *r);
int row_from_json(const json_t *object, RowResult *r, Err *err);

#endif
