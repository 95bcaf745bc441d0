/* ids: tables of integers as the command line writes them: "1 2 3;4 5 6", or @FILE with the same
 * text. Rows end at ';', numbers are separated by white space; all rows are equally long. */
#pragma once

#include "autograd/base.h"

typedef struct IdTable {
    size_t rows, cols;
    int32_t *at; /* [rows, cols] */
    char *place; /* what opens a sentence about it: "--ids", or "--ids: FILE" */
} IdTable;

/* Reads text or, after '@', a file. Every error begins with `option` ("--ids") and names the file.
 * -1: no number, ragged rows, an empty row, not a 32-bit integer, an unreadable file. */
int ids_parse(IdTable *t, const char *option, const char *text, Err *err);
void ids_release(IdTable *t);

/* Checks that every number is within min..max. The error names the place and `what` is expected. */
int ids_check(const IdTable *t, int32_t min, int32_t max, const char *what, Err *err);
