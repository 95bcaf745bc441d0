/* json_edit: a file of JSON with other values for some of its keys.
 *
 * The one idea: what is not changed is copied byte for byte, so that Python reads the NaN, Infinity
 * and large integers that it wrote there; a document that was parsed has lost them (json.h). */
#pragma once

#include <jansson.h>

/* The text of an object that json_parse reads, with other values for its outermost keys: each value
 * of `changes` takes the place of its key's, null removes the key, new keys come last. One key a
 * line, two spaces a level. Caller frees. */
char *json_edit(const char *text, const json_t *changes);
