/* temp_dir: a temporary folder for each test: made before it, removed after it with all it holds.
 *
 *     TestSuite(name, .init = temp_dir_make, .fini = temp_dir_remove); */
#pragma once

#include <stddef.h>

extern char temp_dir[]; /* its path */

void temp_dir_make(void);
void temp_dir_remove(void);

/* temp_dir/name; lives until temp_dir_remove. */
const char *temp_path(const char *name);

/* Writes temp_dir/name, and makes the folders above it; returns the path. */
const char *temp_write(const char *name, const char *text);
const char *temp_write_bytes(const char *name, const void *bytes, size_t len);

/* Number of its entries. */
size_t temp_dir_count(void);

/* Expects that it holds nothing but these: names between single spaces. */
void temp_dir_expect_only(const char *names);

/* The number of a process that has ended, for the names of what it left. */
long dead_process(void);
