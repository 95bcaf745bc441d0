/* fingerprint: see fingerprint.h. */
#include "bench/result/fingerprint.h"

#include <stdio.h>
#include <string.h>

bool fingerprint_knows(const Field *f, const RowResult *r)
{
    bool may_be_none = f == row_field("cpu_quota") || f == row_field("governor");
    FieldTEXT cell;
    field_cell(f, r, cell);
    return *cell || (may_be_none && *r->build); /* older versions have none */
}

bool fingerprint_differs(const Field *f, const RowResult *a, const RowResult *b)
{
    return fingerprint_knows(f, a) && fingerprint_knows(f, b) && !field_same(f, a, b);
}

static void add_column(FieldTEXT text, const Field *f, const RowResult *a, const RowResult *b)
{
    FieldTEXT in_a, in_b, mark;
    snprintf(mark, sizeof mark, "%s: '", f->name);
    if (!fingerprint_differs(f, a, b) || strstr(text, mark))
        return;
    field_cell(f, a, in_a);
    field_cell(f, b, in_b);
    text_extend(text, "%s%s%.60s' and '%.60s'", *text ? "; " : "", mark, in_a, in_b);
}

void fingerprint_add(FieldTEXT text, const char *columns, const RowResult *a, const RowResult *b)
{
    OWNED char *names = xstrdup(columns);
    char *rest = names;
    for (const char *name; (name = strsep(&rest, "|"));)
        add_column(text, row_field(name), a, b);
}
