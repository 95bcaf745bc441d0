/* toml: a TOML document as a plain C tree.
 *
 * The one idea: toml++ does the parsing, and every node keeps the line it came from, so that
 * whoever reads a config can say where it is wrong. Which keys there may be is not decided here. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

#include "autograd/base.h"

typedef enum TomlKind {
    TOML_TABLE,
    TOML_ARRAY,
    TOML_STRING,
    TOML_INTEGER,
    TOML_REAL,
    TOML_BOOLEAN,
    TOML_DATE, /* dates and times: no config of ours has one */
} TomlKind;

typedef struct TomlNode {
    TomlKind kind;
    int line;               /* of the key, or of the value in an array; from 1 */
    char *key;              /* NULL in an array and for the document */
    char *text;             /* a string's bytes; True/False or the number as text for the others */
    bool boolean;           /* TOML_BOOLEAN */
    int64_t integer;        /* TOML_INTEGER */
    double real;            /* TOML_REAL, and TOML_INTEGER rounded */
    struct TomlNode *child; /* of a table (in file order) or an array */
    size_t count;
} TomlNode;

enum { TOML_MAX_BYTES = 1 << 20 };

/* `path` is for messages: "path:line: ...". A NUL byte inside a string is an error. -1 leaves
 * nothing to release. */
int toml_parse(TomlNode *document, const char *text, size_t len, const char *path, Err *err);
void toml_release(TomlNode *document);

/* "a string", "an integer", ... */
const char *toml_kind_name(TomlKind kind);

/* The child of that name, or NULL. */
const TomlNode *toml_get(const TomlNode *table, const char *key);

#ifdef __cplusplus
}
#endif
