/* count_malloc: how often this program has asked the C library for memory. Replaces its functions,
 * which a sanitizer needs for itself: then, and without glibc, nothing is counted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

bool malloc_is_counted(void);
size_t malloc_count(void);
