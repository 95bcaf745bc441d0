/* fields: a struct as a row of named values.
 *
 * The one idea: a Schema lists the members of a struct once; missing values, CSV, JSON and reading
 * text are loops over that list, the same for every struct. What a value means, and when a file is
 * written, is the business of the struct's owner. */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "autograd/base.h"

/* The types of members, by kind. Missing is "" of TEXT, NaN of REAL and INT_MISSING of INT and
 * FLAG, an empty cell in CSV and null in JSON; a BOOL always has a value. */
enum { TEXT_SIZE = 512 };
#define INT_MISSING INT64_MIN

typedef char FieldTEXT[TEXT_SIZE];
typedef bool FieldBOOL;
typedef int64_t FieldFLAG; /* 0 or 1 */
typedef int64_t FieldINT;
typedef double FieldREAL;

typedef enum FieldKind { FIELD_TEXT, FIELD_BOOL, FIELD_INT, FIELD_REAL, FIELD_FLAG } FieldKind;

/* One member. All but kind, name and offset may be left out. */
typedef struct Field {
    FieldKind kind;
    const char *name;
    size_t offset;
    /* for the owner of the struct */
    int group;
    const char *unit, *doc;
    const char *option;   /* of a command line */
    const char *fallback; /* the default, as text */
    /* what field_parse allows */
    const char *choices; /* TEXT: "a|b|c"; NULL = any */
    int64_t min, max;    /* INT: inclusive; both 0 = any */
    bool positive;       /* REAL: above 0 */
    /* REAL: significant digits of a cell; 0 = the fewest that read back as the same double */
    int digits;
} Field;

/* {"name", the member's place in Struct, more members of Field}. Refuses a member of another type
 * than its kind's. */
#define FIELD(Struct, kind_, name_, member, ...)                                                   \
    {                                                                                              \
        .kind = FIELD_##kind_, .name = (name_),                                                    \
        .offset =                                                                                  \
            offsetof(Struct, member) + 0 * sizeof(&((Struct *)0)->member == (Field##kind_ *)0),    \
        __VA_ARGS__                                                                                \
    }

/* `fields` in the order of CSV columns and JSON keys. */
typedef struct Schema {
    const char *what; /* "a row", in errors */
    const Field *fields;
    size_t count, size; /* size: of the struct */
} Schema;

/* NULL when there is none of that name. */
const Field *schema_field(const Schema *s, const char *name);

/* Zero bytes, then every field missing. */
void schema_init(const Schema *s, void *record);

/* ---- one field ---- */

/* Copies text into a TEXT, cutting what does not fit behind a whole character of UTF-8. */
void text_set(FieldTEXT field, const char *text);
/* Appends what fits; and the same as a sentence, "; " between two, of which "" adds nothing. */
void text_extend(FieldTEXT field, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add(FieldTEXT field, const char *format, ...) __attribute__((format(printf, 2, 3)));

void *field_at(const Field *f, void *record);
bool field_is_missing(const Field *f, const void *record);
void field_clear(const Field *f, void *record);
void field_copy(const Field *f, const void *from, void *to);
void field_default(const Field *f, void *record); /* the fallback, which the field has */
bool field_same(const Field *f, const void *a, const void *b); /* by their cells */

/* A count whose 0 means missing. */
static inline FieldINT int_unless_zero(size_t count)
{
    return count ? (FieldINT)count : INT_MISSING;
}

/* An INT, FLAG or REAL; NaN when missing. */
double field_number(const Field *f, const void *record);

/* The value as a CSV cell: True or False, numbers as digits. `cell` has room for TEXT_SIZE
 * bytes. */
void field_cell(const Field *f, const void *record, char *cell);

/* Reads a cell back: what field_cell writes, any number that strtod takes in full, 0 or 1 for a
 * FLAG. A cell of another type, a choice that does not exist or a number out of range is an error
 * that names the field. */
int field_parse(const Field *f, void *record, const char *cell, Err *err);

/* ---- CSV (RFC 4180) ---- */

/* Each writes a line that ends with LF, with quotes only where needed. */
void csv_write_record(FILE *f, const char *const *cells, size_t count);
void schema_write_header(const Schema *s, FILE *f);
void schema_write_record(const Schema *s, const void *record, FILE *f);

/* ---- JSON ---- */

/* An object, a key per field; null for NULL. schema_from_json fails on a key too many, one too few
 * or a value of another type. */
json_t *schema_to_json(const Schema *s, const void *record);
int schema_from_json(const Schema *s, const json_t *object, void *record, Err *err);

/* JSON has neither NaN nor infinities: null for them. */
json_t *number_json(double value);
json_t *numbers_json(const double *values, size_t count); /* an array, empty for NULL */
/* An array of objects, of records[count]. */
json_t *schema_list_to_json(const Schema *s, const void *records, size_t count);

/* Writes a row's answer, which it takes over, on one line to an open descriptor. */
int answer_write(json_t *answer, int fd, Err *err);
