/* json_edit: see json_edit.h. It walks the text's outermost members and parses none of their
 * values; a text that json_parse has not read makes no sense here. */
#include "model/json_edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/json.h"

static const char *skip_blanks(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

/* The end of the string whose quote is at p. */
static const char *string_end(const char *p)
{
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1])
            p++;
    return *p ? p + 1 : p;
}

/* The end of the value at p: a comma or bracket that is not its own. */
static const char *value_end(const char *p)
{
    for (size_t depth = 0; *p; p = *p == '"' ? string_end(p) : p + 1) {
        if (depth == 0 && strchr(",}]", *p))
            break;
        depth += *p == '{' || *p == '[';
        depth -= *p == '}' || *p == ']';
    }
    return p;
}

/* The key between the quotes at p and before `end`; caller frees. */
static json_t *key_at(const char *p, const char *end)
{
    json_error_t where;
    char *quoted = xasprintf("[%.*s]", (int)(end - p), p);
    json_t *array = json_parse(quoted, strlen(quoted), &where);
    json_t *key = json_incref(json_array_get(array, 0));
    json_decref(array);
    free(quoted);
    return key;
}

typedef struct Output {
    FILE *stream;
    size_t members;
    json_t *written; /* keys of the changes that are done */
} Output;

static void put(Output *o, const char *text, size_t length)
{
    fprintf(o->stream, "%s\n  %.*s", o->members++ ? "," : "", (int)length, text);
}

/* A key with its new value. */
static void put_change(Output *o, const char *key, const json_t *value)
{
    if (json_is_null(value) || json_object_get(o->written, key))
        return;
    json_object_set_new(o->written, key, json_true());
    json_t *member = json_pack("{s:O}", key, value);
    char *text = json_dumps(member, JSON_INDENT(2));
    CHECK(text, "out of memory for '%s'", key);
    char *inside = text + strlen("{\n  ");
    put(o, inside, strlen(inside) - strlen("\n}"));
    free(text);
    json_decref(member);
}

/* The member whose key begins at p; returns its end. */
static const char *edit_member(Output *o, const char *p, const json_t *changes)
{
    const char *end = string_end(p), *value = skip_blanks(skip_blanks(end) + 1);
    json_t *key = key_at(p, end);
    const json_t *change = json_object_get(changes, json_string_value(key));
    const char *next = value_end(value);
    size_t length = (size_t)(next - p);
    while (length > 0 && strchr(" \t\r\n", p[length - 1]))
        length--;
    if (change)
        put_change(o, json_string_value(key), change);
    else
        put(o, p, length);
    json_decref(key);
    return next;
}

char *json_edit(const char *text, const json_t *changes)
{
    char *edited;
    size_t length;
    Output o = {.stream = open_memstream(&edited, &length), .written = json_object()};
    CHECK(o.stream && o.written, "no memory for a text");
    fputc('{', o.stream);
    for (const char *p = skip_blanks(skip_blanks(text) + 1); *p == '"';) {
        p = skip_blanks(edit_member(&o, p, changes));
        p = *p == ',' ? skip_blanks(p + 1) : p;
    }
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)changes, key, value)
        put_change(&o, key, value);
    fprintf(o.stream, "\n}\n");
    json_decref(o.written);
    fclose(o.stream);
    return edited;
}
