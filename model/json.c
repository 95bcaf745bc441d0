/* json: see json.h. */
#include "model/json.h"

#include <stdlib.h>

static json_t *parse_object(const char *path, const char *text, size_t length, Err *err)
{
    json_error_t where;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        err_set(err, "'%s', line %d, column %d: %s", path, where.line, where.column, where.text);
    if (!root || json_is_object(root))
        return root;
    err_set(err, "'%s' is not a JSON object", path);
    json_decref(root);
    return NULL;
}

json_t *json_read_object(const char *path, size_t max_bytes, Err *err)
{
    size_t length;
    char *text = file_read(path, max_bytes, &length, err);
    json_t *root = text ? parse_object(path, text, length, err) : NULL;
    free(text);
    return root;
}
