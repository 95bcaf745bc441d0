/* fingerprint: see fingerprint.h. */
#include "fingerprint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An empty quota or governor says that there is none, if the row is of a version that looks for it. */
static bool is_known(const Field *f, const RowResult *r, const char *cell)
{
    bool may_be_none = f == row_field("cpu_quota") || f == row_field("governor");
    return *cell || (may_be_none && *r->build);
}

bool fingerprint_differs(const Field *f, const RowResult *a, const RowResult *b)
{
    FieldTEXT in_a, in_b;
    field_cell(f, a, in_a);
    field_cell(f, b, in_b);
    return is_known(f, a, in_a) && is_known(f, b, in_b) && strcmp(in_a, in_b) != 0;
}

static void add_column(FieldTEXT text, const Field *f, const RowResult *a, const RowResult *b)
{
    FieldTEXT in_a, in_b, mark;
    size_t used = strlen(text);
    snprintf(mark, sizeof mark, "%s: '", f->name);
    if (!fingerprint_differs(f, a, b) || strstr(text, mark))
        return;
    field_cell(f, a, in_a);
    field_cell(f, b, in_b);
    snprintf(text + used, TEXT_SIZE - used, "%s%s%.60s' and '%.60s'", used ? "; " : "", mark, in_a,
             in_b);
}

void fingerprint_add(FieldTEXT text, const char *columns, const RowResult *a, const RowResult *b)
{
    char *names = xstrdup(columns), *rest = names;
    for (const char *name; (name = strsep(&rest, "|"));)
        add_column(text, row_field(name), a, b);
    free(names);
}
