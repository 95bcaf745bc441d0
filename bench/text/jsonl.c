/* jsonl: see jsonl.h. */
#include "bench/text/jsonl.h"

#include <stdlib.h>
#include <string.h>

#include "model/json.h"

#define MAX_FILE_BYTES ((size_t)1 << 30)

static const char white_space[] = " \t\r\n\v\f";

/* Finds a string field, NULL if the object has none. -1: the field is not a string. */
static int get_string(const json_t *object, const char *key, const char **value, Err *err)
{
    const json_t *field = json_object_get(object, key);
    if (field && !json_is_string(field))
        return err_set(err, "\"%s\" is not a string", key);
    *value = json_string_value(field);
    return 0;
}

static int check_text(const char *text, Err *err)
{
    if (!text)
        return err_set(err, "there is no \"text\"");
    size_t len = strlen(text);
    if (strspn(text, white_space) == len)
        return err_set(err, "\"text\" is empty");
    if (len > JSONL_MAX_TEXT)
        return err_set(err, "\"text\" has %zu bytes; at most %d are allowed", len, JSONL_MAX_TEXT);
    return 0;
}

/* Its place among the labels, by name or as a number from 0; -1 with a sentence. */
static int find_label(const json_t *object, const Labels *labels, Err *err)
{
    const char *name = NULL;
    const json_t *field = json_object_get(object, "expected_label");
    if (json_is_integer(field)) {
        json_int_t place = json_integer_value(field);
        if (place >= 0 && place < (json_int_t)labels->count)
            return (int)place;
        return err_set(err, "label %" JSON_INTEGER_FORMAT " is not one of 0 to %zu", place,
                       labels->count - 1);
    }
    if (get_string(object, "expected_label", &name, err) != 0)
        return -1;
    if (!name)
        return err_set(err, "there is no \"expected_label\"");
    int place = labels_find(labels, name);
    if (place < 0)
        return err_set(
            err, "unknown label '%.60s'%s", name,
            did_you_mean((Hint){0}, name, (const char *const *)labels->at, labels->count));
    return place;
}

static int add_object(LabelledTexts *t, const json_t *object, const Labels *labels, Err *err)
{
    const char *text = NULL, *category = NULL;
    if (get_string(object, "text", &text, err) != 0 || check_text(text, err) != 0 ||
        get_string(object, "category", &category, err) != 0)
        return -1;
    int place = find_label(object, labels, err);
    if (place < 0)
        return -1;
    t->at = xgrow(t->at, t->count, sizeof *t->at);
    t->at[t->count++] = (LabelledText){.text = xstrdup(text),
                                       .category = xstrdup(category ? category : ""),
                                       .len = strlen(text),
                                       .label = place};
    return 0;
}

static int add_line(LabelledTexts *t, const char *line, size_t len, const Labels *labels, Err *err)
{
    json_error_t where;
    json_t *object = json_parse(line, len, &where);
    if (!object)
        return err_set(err, "column %d: %s", where.column, where.text);
    int status = json_is_object(object) ? add_object(t, object, labels, err)
                                        : err_set(err, "not a JSON object");
    json_decref(object);
    return status;
}

static bool is_blank(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (line[i] == '\0' || !strchr(white_space, line[i]))
            return false;
    return true;
}

int jsonl_load_text(LabelledTexts *t, const char *text, size_t len, const char *path,
                    const Labels *labels, Err *err)
{
    *t = (LabelledTexts){0};
    const char *end = text + len;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    int status = 0;
    for (size_t number = 1; text < end && status == 0; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((newline ? newline : end) - text);
        if (!is_blank(text, n) && (status = add_line(t, text, n, labels, err)) != 0)
            err_prefix(err, "%s:%zu", path, number);
        text += newline ? n + 1 : n;
    }
    if (status == 0 && t->count == 0)
        status = err_set(err, "%s: there is no sample in the file", path);
    if (status != 0)
        labelled_texts_release(t);
    return status;
}

int jsonl_load(LabelledTexts *t, const char *path, const Labels *labels, Err *err)
{
    size_t len;
    OWNED char *text = file_read(path, MAX_FILE_BYTES, &len, err);
    return text ? jsonl_load_text(t, text, len, path, labels, err) : -1;
}

void labelled_texts_release(LabelledTexts *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->at[i].text);
        free(t->at[i].category);
    }
    free(t->at);
    *t = (LabelledTexts){0};
}
