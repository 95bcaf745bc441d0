/* samples: see samples.h. */
#include "bench/row/samples.h"

#include <math.h>
#include <stdlib.h>

static const Field fields[] = {
#define SAMPLE(kind, name, doc_) FIELD(Sample, kind, #name, name, .doc = (doc_)),
#include "bench/row/samples.def"
#undef SAMPLE
};
const Schema sample_schema = {"a sample", fields, COUNT_OF(fields), sizeof(Sample)};

static const Field token_fields[] = {TOKEN_FIELDS(TokenTime, )};
const Schema token_schema = {"a token", token_fields, COUNT_OF(token_fields), sizeof(TokenTime)};

Sample sample_empty(void)
{
    Sample s;
    schema_init(&sample_schema, &s);
    return s;
}

void samples_init(Samples *s)
{
    *s = (Samples){0};
}

void samples_release(Samples *s)
{
    free(s->at);
    free(s->tokens);
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

Samples samples_of_process(const Samples *s, size_t start)
{
    size_t end = start;
    while (end < s->count && s->at[end].process == s->at[start].process)
        end++;
    return (Samples){.at = s->at + start, .count = end - start};
}

size_t samples_processes(const Samples *s)
{
    size_t processes = 0;
    for (size_t start = 0; start < s->count; start += samples_of_process(s, start).count)
        processes++;
    return processes;
}

size_t samples_column(const Samples *s, enum SampleSet set, const char *name, double scale,
                      double *out)
{
    const Field *f = schema_field(&sample_schema, name);
    size_t count = 0;
    CHECK(f, "no sample column '%s'", name);
    for (size_t i = 0; i < s->count; i++) {
        double value = field_number(f, &s->at[i]);
        if (!isnan(value) && (set == ALL_RUNS || !s->at[i].is_warmup))
            out[count++] = value * scale;
    }
    return count;
}

double *samples_values(const Samples *s, enum SampleSet set, const char *name, double scale,
                       size_t *count)
{
    double *values = xmalloc((s->count + 1) * sizeof *values);
    *count = samples_column(s, set, name, scale, values);
    return values;
}

double *samples_timed_ms(const Samples *s, size_t *count)
{
    return samples_values(s, TIMED_TRIALS, "wall_ns", 1e-6, count);
}

void samples_reserve_tokens(Samples *s, size_t capacity)
{
    if (capacity <= s->token_capacity)
        return;
    s->tokens = xrealloc(s->tokens, capacity * sizeof *s->tokens);
    s->token_capacity = capacity;
}

void samples_add_token(Samples *s, TokenTime token)
{
    if (s->num_tokens == s->token_capacity)
        samples_reserve_tokens(s, s->token_capacity ? 2 * s->token_capacity : 64);
    s->tokens[s->num_tokens++] = token;
}

json_t *tokens_to_json(const Samples *s)
{
    return schema_list_to_json(&token_schema, s->tokens, s->num_tokens);
}

int tokens_from_json(const json_t *array, Samples *s, Err *err)
{
    if (!json_is_array(array))
        return err_set(err, "the tokens are not a JSON array");
    for (size_t i = 0; i < json_array_size(array); i++) {
        TokenTime token;
        if (schema_from_json(&token_schema, json_array_get(array, i), &token, err) != 0)
            return -1;
        samples_add_token(s, token);
    }
    return 0;
}

json_t *samples_to_json(const Samples *s)
{
    return schema_list_to_json(&sample_schema, s->at, s->count);
}

int samples_from_json(const json_t *array, Samples *s, Err *err)
{
    if (!json_is_array(array))
        return err_set(err, "the samples are not a JSON array");
    samples_reserve(s, json_array_size(array));
    for (size_t i = 0; i < json_array_size(array); i++) {
        Sample sample;
        if (schema_from_json(&sample_schema, json_array_get(array, i), &sample, err) != 0)
            return -1;
        samples_add(s, sample);
    }
    return 0;
}
