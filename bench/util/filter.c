/* filter: see filter.h. */
#include "bench/util/filter.h"

#include <stdlib.h>
#include <string.h>

/* The C library recurses with the nesting of parentheses until the stack is gone. Those that a
 * bracket or a backslash makes ordinary count too: nobody writes that many. */
static int check_bounds(const char *regex, Err *err)
{
    size_t len = strlen(regex), depth = 0;
    if (len > FILTER_MAX_BYTES)
        return err_set(err, "--filter: an expression of %zu bytes; at most %d are allowed", len,
                       FILTER_MAX_BYTES);
    for (const char *p = regex; *p; p++) {
        if (*p == '(' && ++depth > FILTER_MAX_NESTING)
            return err_set(err, "--filter: more than %d parentheses in each other",
                           FILTER_MAX_NESTING);
        if (*p == ')' && depth > 0)
            depth--;
    }
    return 0;
}

int name_filter_open(NameFilter *f, const char *regex, Err *err)
{
    *f = (NameFilter){.text = regex};
    char reason[128];
    if (regex && check_bounds(regex, err) != 0)
        return -1;
    int code = regex ? regcomp(&f->pattern, regex, REG_EXTENDED | REG_NOSUB) : 0;
    if (code == 0)
        return 0;
    regerror(code, &f->pattern, reason, sizeof reason);
    return err_set(err, "--filter '%s': %s", regex, reason);
}

bool name_filter_keeps(NameFilter *f, const char *name)
{
    if (f->asked++ == 0)
        f->first = xstrdup(name);
    bool keeps = !f->text || regexec(&f->pattern, name, 0, NULL, 0) == 0;
    f->kept += keeps;
    return keeps;
}

int name_filter_close(NameFilter *f, const char *what, Err *err)
{
    int status = 0;
    if (f->text && f->kept == 0)
        status = err_set(err, "--filter '%s' matches none of the %zu %s, the first of which is %s",
                         f->text, f->asked, what, f->first ? f->first : "missing");
    if (f->text)
        regfree(&f->pattern);
    free(f->first);
    return status;
}
