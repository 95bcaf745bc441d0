/* json: a file that holds one JSON object, with the place of its fault in the message. What the
 * keys mean is its reader's business. */
#ifndef TARE_MODEL_JSON_H
#define TARE_MODEL_JSON_H

#include <jansson.h>

#include "autograd/base.h"

/* Reads a file of at most max_bytes; the caller gives the object to json_decref. NULL, naming file,
 * line and column, for what is no JSON, no object, or has a key twice in one object. */
json_t *json_read_object(const char *path, size_t max_bytes, Err *err);

#endif
