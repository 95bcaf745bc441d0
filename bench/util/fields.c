/* fields: see fields.h. */
#include "bench/util/fields.h"

#include <csv.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/util/options.h"

const Field *schema_field(const Schema *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->fields[i].name, name) == 0)
            return &s->fields[i];
    return NULL;
}

void schema_init(const Schema *s, void *record)
{
    memset(record, 0, s->size);
    for (size_t i = 0; i < s->count; i++)
        field_clear(&s->fields[i], record);
}

/* ---- one field ---- */

void text_set(FieldTEXT field, const char *text)
{
    size_t len = strlen(text);
    if (len >= TEXT_SIZE) {
        len = TEXT_SIZE - 1;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    memmove(field, text, len);
    field[len] = '\0';
}

void text_extend(FieldTEXT field, const char *format, ...)
{
    size_t used = strlen(field);
    va_list ap;
    va_start(ap, format);
    vsnprintf(field + used, TEXT_SIZE - used, format, ap);
    va_end(ap);
}

void text_add(FieldTEXT field, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    OWNED char *sentence = xvasprintf(format, ap);
    va_end(ap);
    OWNED char *longer = xasprintf("%s%s%s", field, *field && *sentence ? "; " : "", sentence);
    text_set(field, longer);
}

void *field_at(const Field *f, void *record)
{
    return (char *)record + f->offset;
}

static const void *value_of(const Field *f, const void *record)
{
    return (const char *)record + f->offset;
}

static int64_t int_of(const Field *f, const void *record)
{
    return *(const FieldINT *)value_of(f, record);
}

static double real_of(const Field *f, const void *record)
{
    return *(const FieldREAL *)value_of(f, record);
}

static bool bool_of(const Field *f, const void *record)
{
    return f->kind == FIELD_BOOL ? *(const FieldBOOL *)value_of(f, record) : int_of(f, record) != 0;
}

/* Of each kind: its members, their missing value and the bytes of it that tell, its JSON. */
static const struct Kind {
    size_t size;
    const void *missing;
    size_t told_by;
    const char *json;
} kinds[] = {
    [FIELD_TEXT] = {sizeof(FieldTEXT), "", 1, "a text"},
    [FIELD_BOOL] = {sizeof(FieldBOOL), &(FieldBOOL){false}, sizeof(FieldBOOL), "true or false"},
    [FIELD_INT] = {sizeof(FieldINT), &(FieldINT){INT_MISSING}, sizeof(FieldINT), "an integer"},
    [FIELD_REAL] = {sizeof(FieldREAL), &(FieldREAL){NAN}, sizeof(FieldREAL), "a number"},
    [FIELD_FLAG] = {sizeof(FieldFLAG), &(FieldFLAG){INT_MISSING}, sizeof(FieldFLAG),
                    "true or false"},
};

bool field_is_missing(const Field *f, const void *record)
{
    const struct Kind *k = &kinds[f->kind];
    if (f->kind == FIELD_REAL)
        return isnan(real_of(f, record));
    return f->kind != FIELD_BOOL && memcmp(value_of(f, record), k->missing, k->told_by) == 0;
}

void field_clear(const Field *f, void *record)
{
    memcpy(field_at(f, record), kinds[f->kind].missing, kinds[f->kind].told_by);
}

void field_copy(const Field *f, const void *from, void *to)
{
    memcpy(field_at(f, to), value_of(f, from), kinds[f->kind].size);
}

void field_default(const Field *f, void *record)
{
    Err err;
    CHECK(field_parse(f, record, f->fallback, &err) == 0, "default of %s: %s", f->name, err.msg);
}

bool field_same(const Field *f, const void *a, const void *b)
{
    FieldTEXT in_a, in_b;
    field_cell(f, a, in_a);
    field_cell(f, b, in_b);
    return strcmp(in_a, in_b) == 0;
}

double field_number(const Field *f, const void *record)
{
    CHECK(f->kind == FIELD_FLAG || f->kind == FIELD_INT || f->kind == FIELD_REAL, "%s is no number",
          f->name);
    if (field_is_missing(f, record))
        return NAN;
    return f->kind == FIELD_REAL ? real_of(f, record) : (double)int_of(f, record);
}

/* 15 digits always survive the way to decimal and back to the eye, 17 always back to the double. */
static void real_cell(double value, int digits, char *cell)
{
    char text[TEXT_SIZE];
    for (int n = digits ? digits : 15; n <= 17; n++) {
        snprintf(text, sizeof text, "%.*g", n, value);
        if (digits || strtod(text, NULL) == value)
            break;
    }
    text_set(cell, text);
}

void field_cell(const Field *f, const void *record, char *cell)
{
    cell[0] = '\0';
    if (field_is_missing(f, record))
        return;
    switch (f->kind) {
    case FIELD_TEXT:
        text_set(cell, value_of(f, record));
        break;
    case FIELD_BOOL:
    case FIELD_FLAG:
        text_set(cell, bool_of(f, record) ? "True" : "False");
        break;
    case FIELD_INT:
        snprintf(cell, TEXT_SIZE, "%" PRId64, int_of(f, record));
        break;
    case FIELD_REAL:
        real_cell(real_of(f, record), f->digits, cell);
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
    return bounds_check(f->name, cell, *out >= f->min && *out <= f->max, f->min, f->max, err);
}

static void set_truth(const Field *f, void *record, bool truth)
{
    if (f->kind == FIELD_BOOL)
        *(FieldBOOL *)field_at(f, record) = truth;
    else
        *(FieldFLAG *)field_at(f, record) = truth;
}

static int parse_truth_field(const Field *f, void *record, const char *cell, Err *err)
{
    static const char *const words[] = {"False", "false", "FALSE", "0",
                                        "True",  "true",  "TRUE",  "1"};
    size_t i = 0;
    while (i < COUNT_OF(words) && strcmp(cell, words[i]) != 0)
        i++;
    if (i == COUNT_OF(words) || (f->kind == FIELD_BOOL && i % 4 == 3))
        return err_set(err, "%s is '%s', neither true nor false", f->name, cell);
    set_truth(f, record, i >= COUNT_OF(words) / 2);
    return 0;
}

int field_parse(const Field *f, void *record, const char *cell, Err *err)
{
    if (cell[0] == '\0' && f->kind != FIELD_BOOL) {
        field_clear(f, record);
        return 0;
    }
    switch (f->kind) {
    case FIELD_TEXT:
        if (strlen(cell) >= TEXT_SIZE)
            return err_set(err, "%s is longer than %d bytes", f->name, TEXT_SIZE - 1);
        if (f->choices && choice_check(f->name, f->choices, cell, err) != 0)
            return -1;
        text_set(field_at(f, record), cell);
        return 0;
    case FIELD_BOOL:
    case FIELD_FLAG:
        return parse_truth_field(f, record, cell, err);
    case FIELD_INT:
        return parse_int_field(f, cell, field_at(f, record), err);
    case FIELD_REAL:
        if (parse_real(cell, field_at(f, record)) != 0)
            return err_set(err, "%s is '%s', not a finite number", f->name, cell);
        if (f->positive && real_of(f, record) <= 0)
            return err_set(err, "%s is %s, not a positive number", f->name, cell);
        return 0;
    }
    return 0;
}

/* ---- CSV ---- */

/* libcsv quotes whatever it writes, so it only gets what needs quotes. Readers drop blanks at the
 * ends of a field without quotes, and a byte-order mark where it begins the file. */
static bool needs_quotes(const char *cell)
{
    static const char bom[] = "\xef\xbb\xbf";
    size_t len = strlen(cell);
    return strpbrk(cell, ",\"\r\n") || strncmp(cell, bom, strlen(bom)) == 0 ||
           (len && (strchr(" \t", cell[0]) || strchr(" \t", cell[len - 1])));
}

static void write_cell(FILE *f, const char *cell, bool last)
{
    if (needs_quotes(cell))
        csv_fwrite(f, cell, strlen(cell));
    else
        fputs(cell, f);
    fputc(last ? '\n' : ',', f);
}

void csv_write_record(FILE *f, const char *const *cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        write_cell(f, cells[i], i + 1 == count);
}

void schema_write_header(const Schema *s, FILE *f)
{
    for (size_t i = 0; i < s->count; i++)
        write_cell(f, s->fields[i].name, i + 1 == s->count);
}

void schema_write_record(const Schema *s, const void *record, FILE *f)
{
    for (size_t i = 0; i < s->count; i++) {
        FieldTEXT cell;
        field_cell(&s->fields[i], record, cell);
        write_cell(f, cell, i + 1 == s->count);
    }
}

/* ---- JSON ---- */

static json_t *field_to_json(const Field *f, const void *record)
{
    if (field_is_missing(f, record))
        return json_null();
    switch (f->kind) {
    case FIELD_TEXT:
        return json_string_nocheck(value_of(f, record));
    case FIELD_BOOL:
    case FIELD_FLAG:
        return json_boolean(bool_of(f, record));
    case FIELD_INT:
        return json_integer(int_of(f, record));
    case FIELD_REAL:
        return number_json(real_of(f, record));
    }
    return NULL;
}

json_t *schema_to_json(const Schema *s, const void *record)
{
    if (!record)
        return json_null();
    json_t *object = json_object();
    for (size_t i = 0; i < s->count; i++)
        json_object_set_new(object, s->fields[i].name, field_to_json(&s->fields[i], record));
    return object;
}

static int field_from_json(const Schema *s, const Field *f, const json_t *value, void *record,
                           Err *err)
{
    void *at = field_at(f, record);
    if (json_is_null(value)) {
        field_clear(f, record);
    } else if (f->kind == FIELD_TEXT && json_is_string(value)) {
        text_set(at, json_string_value(value));
    } else if ((f->kind == FIELD_BOOL || f->kind == FIELD_FLAG) && json_is_boolean(value)) {
        set_truth(f, record, json_boolean_value(value));
    } else if (f->kind == FIELD_INT && json_is_integer(value)) {
        *(FieldINT *)at = json_integer_value(value);
    } else if (f->kind == FIELD_REAL && json_is_number(value)) {
        *(FieldREAL *)at = json_number_value(value);
    } else {
        return err_set(err, "column '%s' of %s is not %s", f->name, s->what, kinds[f->kind].json);
    }
    return 0;
}

int schema_from_json(const Schema *s, const json_t *object, void *record, Err *err)
{
    schema_init(s, record);
    if (json_object_size(object) != s->count)
        return err_set(err, "%s has %zu columns where %zu are expected", s->what,
                       json_object_size(object), s->count);
    for (size_t i = 0; i < s->count; i++) {
        const json_t *value = json_object_get(object, s->fields[i].name);
        if (field_from_json(s, &s->fields[i], value, record, err) != 0)
            return -1;
    }
    return 0;
}

json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *numbers_json(const double *values, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; values && i < count; i++)
        json_array_append_new(list, number_json(values[i]));
    return list;
}

json_t *schema_list_to_json(const Schema *s, const void *records, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, schema_to_json(s, (const char *)records + i * s->size));
    return list;
}

int answer_write(json_t *answer, int fd, Err *err)
{
    int status = json_dumpfd(answer, fd, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(answer);
    return status == 0 ? 0 : err_set(err, "cannot write the result to descriptor %d", fd);
}
