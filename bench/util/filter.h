/* filter: which of several names does --filter REGEX want. Open, ask for each name, close. */
#pragma once

#include <regex.h>

#include "autograd/base.h"

enum { FILTER_MAX_BYTES = 1000, FILTER_MAX_NESTING = 50 };

typedef struct NameFilter {
    const char *text; /* borrowed; NULL = everything is kept */
    regex_t pattern;
    char *first; /* the first name that was asked about */
    size_t asked, kept;
} NameFilter;

/* `regex` is a POSIX extended regular expression, or NULL. -1: it is none, or above the
 * limits, and there is nothing to close. */
int name_filter_open(NameFilter *f, const char *regex, Err *err);

/* Whether some part of the name matches. */
bool name_filter_keeps(NameFilter *f, const char *name);

/* -1 when no name was kept; `what` they name: "rows". */
int name_filter_close(NameFilter *f, const char *what, Err *err);
