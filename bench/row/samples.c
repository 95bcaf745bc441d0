/* samples: see samples.h. */
#include "bench/row/samples.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const SampleColumn sample_columns[] = {
#define SAMPLE(name, help) {#name, help},
#include "bench/row/samples.def"
#undef SAMPLE
};
const size_t num_sample_columns = COUNT_OF(sample_columns);

static const size_t column_offset[] = {
#define SAMPLE(name, help) offsetof(Sample, name),
#include "bench/row/samples.def"
#undef SAMPLE
};

enum { IS_WARMUP_OFFSET = offsetof(Sample, is_warmup) };

int64_t sample_get(const Sample *s, size_t column)
{
    CHECK(column < num_sample_columns, "column %zu", column);
    return *(const int64_t *)((const char *)s + column_offset[column]);
}

void sample_set(Sample *s, size_t column, int64_t value)
{
    CHECK(column < num_sample_columns, "column %zu", column);
    *(int64_t *)((char *)s + column_offset[column]) = value;
}

Sample sample_empty(void)
{
    Sample s;
    for (size_t c = 0; c < num_sample_columns; c++)
        sample_set(&s, c, SAMPLE_NONE);
    return s;
}

void sample_cell(const Sample *s, size_t column, char *text, size_t size)
{
    int64_t value = sample_get(s, column);
    if (value == SAMPLE_NONE)
        text[0] = '\0';
    else if (column_offset[column] == IS_WARMUP_OFFSET)
        snprintf(text, size, "%s", value ? "True" : "False");
    else
        snprintf(text, size, "%" PRId64, value);
}

void samples_init(Samples *s)
{
    *s = (Samples){0};
}

void samples_release(Samples *s)
{
    free(s->at);
    samples_init(s);
}

void samples_reserve(Samples *s, size_t capacity)
{
    if (capacity <= s->capacity)
        return;
    s->at = xrealloc(s->at, capacity * sizeof *s->at);
    s->capacity = capacity;
}

void samples_add(Samples *s, Sample sample)
{
    if (s->count == s->capacity)
        samples_reserve(s, s->capacity ? 2 * s->capacity : 16);
    s->at[s->count++] = sample;
}

static size_t column_named(const char *name)
{
    for (size_t c = 0; c < num_sample_columns; c++)
        if (strcmp(sample_columns[c].name, name) == 0)
            return c;
    CHECK(false, "no sample column '%s'", name);
}

size_t samples_column(const Samples *s, enum SampleSet set, const char *name, double scale,
                      double *out)
{
    size_t column = column_named(name), count = 0;
    for (size_t i = 0; i < s->count; i++) {
        int64_t value = sample_get(&s->at[i], column);
        if (value == SAMPLE_NONE || (set == TIMED_TRIALS && s->at[i].is_warmup))
            continue;
        out[count++] = (double)value * scale;
    }
    return count;
}

json_t *samples_to_json(const Samples *s)
{
    json_t *array = json_array();
    for (size_t i = 0; i < s->count; i++) {
        json_t *object = json_object();
        for (size_t c = 0; c < num_sample_columns; c++) {
            int64_t value = sample_get(&s->at[i], c);
            json_object_set_new(object, sample_columns[c].name,
                                value == SAMPLE_NONE ? json_null() : json_integer(value));
        }
        json_array_append_new(array, object);
    }
    return array;
}

static int sample_from_json(const json_t *object, Sample *s, Err *err)
{
    if (json_object_size(object) != num_sample_columns)
        return err_set(err, "a sample has %zu columns where %zu are expected",
                       json_object_size(object), num_sample_columns);
    for (size_t c = 0; c < num_sample_columns; c++) {
        const json_t *value = json_object_get(object, sample_columns[c].name);
        if (!json_is_integer(value) && !json_is_null(value))
            return err_set(err, "column '%s' of a sample is not an integer",
                           sample_columns[c].name);
        sample_set(s, c, json_is_null(value) ? SAMPLE_NONE : json_integer_value(value));
    }
    return 0;
}

int samples_from_json(const json_t *array, Samples *s, Err *err)
{
    if (!json_is_array(array))
        return err_set(err, "the samples are not a JSON array");
    samples_reserve(s, json_array_size(array));
    for (size_t i = 0; i < json_array_size(array); i++) {
        Sample sample = sample_empty();
        if (sample_from_json(json_array_get(array, i), &sample, err) != 0)
            return -1;
        samples_add(s, sample);
    }
    return 0;
}
