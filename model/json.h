/* json: JSON as Python's json module reads it, which is what wrote the files of a Hugging Face
 * directory.
 *
 * The one idea: what jansson refuses and Python accepts is overwritten in a copy of the text, byte
 * for byte, before jansson sees it; so lines and columns in messages are the file's. Overwritten
 * are a whole number beyond 64 bits, which becomes the nearest real number; a real number beyond a
 * double, and Infinity, which become 9e307; NaN, which becomes an empty list, so that no reader
 * takes it for a number; half a surrogate pair, which becomes U+FFFD. Of a key that appears twice,
 * the last counts. Still refused, other than in Python, is a NUL in a string.
 *
 * What the keys mean is the business of whoever reads them. */
#pragma once

#include <jansson.h>

#include "autograd/base.h"

/* Parses `len` bytes; the caller gives the value to json_decref. NULL with the place and the fault
 * in *where. */
json_t *json_parse(const char *text, size_t len, json_error_t *where);

/* Reads a file of at most max_bytes that holds one object. NULL, with PATH:LINE:COLUMN in the
 * message, for what is no JSON or no object. */
json_t *json_read_object(const char *path, size_t max_bytes, Err *err);

/* The overwriting itself, in place; text[len] must be 0. For tests. */
void json_overwrite(char *text, size_t len);
