/* row: see row.h. */
#include "bench/row/row.h"
#include "bench/machine/threads.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/config.h"
#include "model/precision.h"
#include "bench/util/number_json.h"
#include "bench/util/options.h"

_Static_assert(offsetof(RowResult, config) == 0, "a config field has one offset in both structs");

#define RANGE(low, high) .min = (low), .max = (high)
#define ONE_OF(names)    .choices = (names)
#define ANY              .choices = NULL

const Field row_fields[] = {
#define MODEL(kind_, name_, option_, allowed, doc_)                                                \
    {.kind = FIELD_##kind_,                                                                        \
     .group = FIELD_MODEL,                                                                         \
     .name = #name_,                                                                               \
     .unit = "",                                                                                   \
     .doc = (doc_),                                                                                \
     .offset = offsetof(RowConfig, name_),                                                         \
     .option = (option_),                                                                          \
     allowed},
#define CONFIG(kind_, name_, option_, fallback_, allowed, doc_)                                    \
    {.kind = FIELD_##kind_,                                                                        \
     .group = FIELD_CONFIG,                                                                        \
     .name = #name_,                                                                               \
     .unit = "",                                                                                   \
     .doc = (doc_),                                                                                \
     .offset = offsetof(RowConfig, name_),                                                         \
     .option = (option_),                                                                          \
     .fallback = (fallback_),                                                                      \
     allowed},
#define RESULT(kind_, name_, unit_, doc_)                                                          \
    {.kind = FIELD_##kind_,                                                                        \
     .group = FIELD_RESULT,                                                                        \
     .name = #name_,                                                                               \
     .unit = (unit_),                                                                              \
     .doc = (doc_),                                                                                \
     .offset = offsetof(RowResult, name_),                                                         \
     .min = INT64_MIN,                                                                             \
     .max = INT64_MAX},
#include "bench/row/fields.def"
#undef CONFIG
#undef RESULT
};
const size_t num_row_fields = COUNT_OF(row_fields);

const Field *row_field(const char *name)
{
    for (size_t i = 0; i < num_row_fields; i++)
        if (strcmp(row_fields[i].name, name) == 0)
            return &row_fields[i];
    return NULL;
}

void text_set(FieldTEXT field, const char *text)
{
    snprintf(field, TEXT_SIZE, "%s", text);
}

static void *field_at(const Field *f, RowResult *r)
{
    return (char *)r + f->offset;
}

static const void *field_in(const Field *f, const RowResult *r)
{
    return (const char *)r + f->offset;
}

static void field_clear(const Field *f, RowResult *r)
{
    switch (f->kind) {
    case FIELD_TEXT:
        text_set(field_at(f, r), "");
        break;
    case FIELD_BOOL:
        *(FieldBOOL *)field_at(f, r) = false;
        break;
    case FIELD_INT:
        *(FieldINT *)field_at(f, r) = INT_MISSING;
        break;
    case FIELD_REAL:
        *(FieldREAL *)field_at(f, r) = NAN;
        break;
    }
}

void row_result_init(RowResult *r)
{
    memset(r, 0, sizeof *r);
    for (size_t i = 0; i < num_row_fields; i++)
        field_clear(&row_fields[i], r);
}

/* 15 digits always survive the way to decimal and back to the eye, 17 always back to the double. */
static void real_cell(double value, char *cell)
{
    char text[32]; /* -1.2345678901234567e-308 has 24 characters */
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    text_set(cell, text);
}

void field_cell(const Field *f, const RowResult *r, char *cell)
{
    const void *value = field_in(f, r);
    cell[0] = '\0';
    switch (f->kind) {
    case FIELD_TEXT:
        text_set(cell, value);
        break;
    case FIELD_BOOL:
        text_set(cell, *(const FieldBOOL *)value ? "True" : "False");
        break;
    case FIELD_INT:
        if (*(const FieldINT *)value != INT_MISSING)
            snprintf(cell, TEXT_SIZE, "%" PRId64, *(const FieldINT *)value);
        break;
    case FIELD_REAL:
        if (!isnan(*(const FieldREAL *)value))
            real_cell(*(const FieldREAL *)value, cell);
        break;
    }
}

static int parse_int_field(const Field *f, const char *cell, FieldINT *out, Err *err)
{
    double real = NAN;
    if (parse_int(cell, out) != 0) {
        bool whole = parse_real(cell, &real) == 0 && real == floor(real) && fabs(real) < 0x1p53;
        if (!whole)
            return err_set(err, "%s is '%s', not an integer of 64 bits", f->name, cell);
        *out = (FieldINT)real;
    }
    if (*out < f->min || *out > f->max)
        return err_set(err, "%s is %s, outside %" PRId64 " to %" PRId64, f->name, cell, f->min,
                       f->max);
    return 0;
}

static int parse_bool_field(const Field *f, const char *cell, FieldBOOL *out, Err *err)
{
    *out = strcmp(cell, "True") == 0 || strcmp(cell, "true") == 0;
    if (*out || strcmp(cell, "False") == 0 || strcmp(cell, "false") == 0)
        return 0;
    return err_set(err, "%s is '%s', neither true nor false", f->name, cell);
}

int field_parse(const Field *f, RowResult *r, const char *cell, Err *err)
{
    if (cell[0] == '\0' && f->kind != FIELD_BOOL) {
        field_clear(f, r);
        return 0;
    }
    switch (f->kind) {
    case FIELD_TEXT:
        if (strlen(cell) >= TEXT_SIZE)
            return err_set(err, "%s is longer than %d bytes", f->name, TEXT_SIZE - 1);
        if (f->choices && choice_check(f->name, f->choices, cell, err) != 0)
            return -1;
        text_set(field_at(f, r), cell);
        return 0;
    case FIELD_BOOL:
        return parse_bool_field(f, cell, field_at(f, r), err);
    case FIELD_INT:
        return parse_int_field(f, cell, field_at(f, r), err);
    case FIELD_REAL:
        if (parse_real(cell, field_at(f, r)) != 0)
            return err_set(err, "%s is '%s', not a finite number", f->name, cell);
        return 0;
    }
    return 0;
}

static json_t *field_to_json(const Field *f, const RowResult *r)
{
    const void *value = field_in(f, r);
    switch (f->kind) {
    case FIELD_TEXT:
        return *(const char *)value ? json_string_nocheck(value) : json_null();
    case FIELD_BOOL:
        return json_boolean(*(const FieldBOOL *)value);
    case FIELD_INT:
        return *(const FieldINT *)value == INT_MISSING ? json_null()
                                                       : json_integer(*(const FieldINT *)value);
    case FIELD_REAL:
        return number_json(*(const FieldREAL *)value);
    }
    return NULL;
}

json_t *row_to_json(const RowResult *r)
{
    json_t *object = json_object();
    for (size_t i = 0; i < num_row_fields; i++)
        json_object_set_new(object, row_fields[i].name, field_to_json(&row_fields[i], r));
    return object;
}

static int field_from_json(const Field *f, const json_t *value, RowResult *r, Err *err)
{
    if (json_is_null(value)) {
        field_clear(f, r);
    } else if (f->kind == FIELD_TEXT && json_is_string(value)) {
        text_set(field_at(f, r), json_string_value(value));
    } else if (f->kind == FIELD_BOOL && json_is_boolean(value)) {
        *(FieldBOOL *)field_at(f, r) = json_boolean_value(value);
    } else if (f->kind == FIELD_INT && json_is_integer(value)) {
        *(FieldINT *)field_at(f, r) = json_integer_value(value);
    } else if (f->kind == FIELD_REAL && json_is_number(value)) {
        *(FieldREAL *)field_at(f, r) = json_number_value(value);
    } else {
        return err_set(err, "key '%s' of a row has a value of the wrong type", f->name);
    }
    return 0;
}

int row_from_json(const json_t *object, RowResult *r, Err *err)
{
    row_result_init(r);
    if (!json_is_object(object))
        return err_set(err, "a row is not a JSON object");
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        const Field *f = row_field(key);
        if (!f)
            return err_set(err, "a row has the unknown key '%s'", key);
        if (field_from_json(f, value, r, err) != 0)
            return -1;
    }
    return 0;
}
