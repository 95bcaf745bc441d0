/* json: see json.h. */
#include "model/json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char huge[] = "9e307", infinity[] = "Infinity", not_a_number[] = "NaN";

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Puts `value` in place of n bytes, no fewer, and fills up with spaces. */
static void put(char *at, size_t n, const char *value)
{
    memset(at, ' ', n);
    memcpy(at, value, strlen(value));
}

/* The end of the digits from p on. */
static char *digits_end(char *p)
{
    while (is_digit(*p))
        p++;
    return p;
}

/* Overwrites the number that begins with the digit at p where it is too large; returns its end.
 * Leaves what is no JSON number for jansson to refuse. */
static char *overwrite_number(char *p, bool negative)
{
    char *end = digits_end(p);
    bool whole = true;
    if (*end == '.' && is_digit(end[1])) {
        end = digits_end(end + 1);
        whole = false;
    }
    size_t sign = (*end == 'e' || *end == 'E') && (end[1] == '-' || end[1] == '+');
    if ((*end == 'e' || *end == 'E') && is_digit(end[1 + sign])) {
        end = digits_end(end + 1 + sign);
        whole = false;
    }
    if (*p == '0' && is_digit(p[1]))
        return end;
    char next = *end;
    *end = '\0';
    bool beyond_double = isinf(strtod(p, NULL));
    errno = 0;
    bool beyond_int64 = whole && strtoll(p - negative, NULL, 10) != 0 && errno == ERANGE;
    *end = next;
    if (beyond_double)
        put(p, (size_t)(end - p), huge);
    else if (beyond_int64)
        memcpy(end - 2, "e2", 2);
    return end;
}

/* The four hexadecimal digits at p, or -1. */
static int hex4(const char *p)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = p[i] ? strchr(digits, p[i] | (p[i] > '9' ? 0x20 : 0)) : NULL;
        if (!digit || !*digit)
            return -1;
        value = value << 4 | (int)(digit - digits);
    }
    return value;
}

/* Overwrites the escape "\uXXXX" at p where it is half a surrogate pair; returns its end, or that
 * of the pair. */
static char *overwrite_escape(char *p)
{
    int first = hex4(p + 2);
    if (first < 0xd800 || first > 0xdfff)
        return p + 2;
    int second = first < 0xdc00 && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8) : -1;
    if (second >= 0xdc00 && second <= 0xdfff)
        return p + 12;
    memcpy(p + 2, "fffd", 4);
    return p + 6;
}

/* Overwrites escapes in the string whose first character is at p; returns the end, after its
 * quote. */
static char *overwrite_string(char *p, const char *end)
{
    while (p < end && *p != '"') {
        if (*p != '\\')
            p++;
        else if (p[1] == 'u')
            p = overwrite_escape(p);
        else
            p += p + 1 < end ? 2 : 1;
    }
    return p < end ? p + 1 : p;
}

void json_overwrite(char *text, size_t len)
{
    const char *end = text + len;
    bool in_word = false; /* what came before would be one word with what comes now */
    for (char *p = text; p < end;) {
        bool begins = !in_word;
        in_word = is_digit(*p) || *p == '.' || *p == 'e' || *p == 'E' || *p == '+';
        if (*p == '"') {
            p = overwrite_string(p + 1, end);
        } else if (begins && is_digit(*p)) {
            p = overwrite_number(p, p > text && p[-1] == '-');
        } else if (begins && strncmp(p, infinity, strlen(infinity)) == 0) {
            put(p, strlen(infinity), huge);
            p += strlen(infinity);
        } else if (begins && strncmp(p, not_a_number, strlen(not_a_number)) == 0) {
            put(p, strlen(not_a_number), "[]");
            p += strlen(not_a_number);
        } else {
            p++;
        }
    }
}

json_t *json_parse(const char *text, size_t len, json_error_t *where)
{
    char *copy = xmalloc(len + 1);
    memcpy(copy, text, len);
    copy[len] = '\0';
    json_overwrite(copy, len);
    json_t *value = json_loadb(copy, len, 0, where);
    free(copy);
    return value;
}

json_t *json_read_object(const char *path, size_t max_bytes, Err *err)
{
    size_t len;
    json_error_t where;
    char *text = file_read(path, max_bytes, &len, err);
    json_t *root = text ? json_parse(text, len, &where) : NULL;
    if (text && !root)
        err_set(err, "%s:%d:%d: %s", path, where.line, where.column, where.text);
    free(text);
    if (!root || json_is_object(root))
        return root;
    err_set(err, "%s: the file must hold one JSON object", path);
    json_decref(root);
    return NULL;
}
