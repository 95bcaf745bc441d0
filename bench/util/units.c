/* units: see units.h. */
#include "bench/util/units.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Unit {
    const char *name;
    double factor;
} Unit;

/* A positive number, blanks, a unit; fails where the product is above `limit`. */
static int parse_quantity(const char *text, const Unit *units, size_t count, double limit,
                          double *out)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || !(number > 0))
        return -1;
    while (isspace((unsigned char)*end))
        end++;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(end, units[i].name) != 0)
            continue;
        *out = number * units[i].factor;
        return *out <= limit ? 0 : -1;
    }
    return -1;
}

int parse_bytes(const char *text, int64_t *bytes)
{
    static const Unit units[] = {{"", 1},         {"B", 1},       {"kB", 1e3},     {"MB", 1e6},
                                 {"GB", 1e9},     {"TB", 1e12},   {"KiB", 0x1p10}, {"MiB", 0x1p20},
                                 {"GiB", 0x1p30}, {"TiB", 0x1p40}};
    double value;
    if (parse_quantity(text, units, COUNT_OF(units), 0x1p62, &value) != 0 || value < 1)
        return -1;
    *bytes = (int64_t)value;
    return 0;
}

int parse_duration(const char *text, double *seconds)
{
    static const Unit units[] = {{"", 1},     {"s", 1},    {"ms", 1e-3}, {"m", 60},
                                 {"min", 60}, {"h", 3600}, {"d", 86400}};
    return parse_quantity(text, units, COUNT_OF(units), 1e12, seconds);
}

void format_bytes(char text[UNIT_TEXT_SIZE], double bytes)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    text[0] = '\0';
    if (isnan(bytes))
        return;
    while (bytes >= 1024 && unit + 1 < COUNT_OF(names)) {
        bytes /= 1024;
        unit++;
    }
    /* three digits, but never 1.02e+03 */
    snprintf(text, UNIT_TEXT_SIZE, bytes < 999.5 ? "%.3g %s" : "%.0f %s", bytes, names[unit]);
}

void format_duration(char text[UNIT_TEXT_SIZE], double seconds)
{
    text[0] = '\0';
    if (isnan(seconds))
        return;
    if (seconds < 0.9995)
        snprintf(text, UNIT_TEXT_SIZE, "%.3g ms", seconds * 1e3);
    else if (seconds < 59.5)
        snprintf(text, UNIT_TEXT_SIZE, "%.2g s", seconds);
    else if (seconds < 3599.5)
        snprintf(text, UNIT_TEXT_SIZE, "%.0f min %02.0f s", floor(round(seconds) / 60),
                 fmod(round(seconds), 60));
    else
        snprintf(text, UNIT_TEXT_SIZE, "%.0f h %02.0f min", floor(round(seconds / 60) / 60),
                 fmod(round(seconds / 60), 60));
}

void format_percent(char text[UNIT_TEXT_SIZE], double share)
{
    double percent = 100 * share, size = fabs(percent);
    text[0] = '\0';
    if (isnan(share))
        return;
    if (size > 0 && size < 0.001) /* never 1e-05 */
        snprintf(text, UNIT_TEXT_SIZE, "less than 0.001 %%");
    else /* nor 1e+02 */
        snprintf(text, UNIT_TEXT_SIZE,
                 size < 99.5   ? "%.2g %%"
                 : size < 1e15 ? "%.0f %%"
                               : "%g %%",
                 percent);
}
