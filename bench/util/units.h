/* units: bytes and seconds as people write and read them. */
#pragma once

#include "autograd/base.h"

/* "6 GiB", "512MiB", "1.5 GB", "4096": KiB, MiB, GiB, TiB are powers of 1024, kB, MB, GB, TB of
 * 1000. -1: not a positive size below 2^62. */
int parse_bytes(const char *text, int64_t *bytes);

/* "90s", "45m", "1.5h", "2d", "90": seconds without a letter. -1: not a positive finite time. */
int parse_duration(const char *text, double *seconds);

enum { UNIT_TEXT_SIZE = 32 };
/* "1.86 GiB"; "12 ms", "4.1 s", "3 min 20 s", "2 h 05 min". "" for a missing (NaN) value. */
void format_bytes(char text[UNIT_TEXT_SIZE], double bytes);
void format_duration(char text[UNIT_TEXT_SIZE], double seconds);
/* A share as "0.25 %", "12 %", "310 %", "less than 0.001 %"; "" for a missing one. */
void format_percent(char text[UNIT_TEXT_SIZE], double share);
