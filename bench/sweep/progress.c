/* progress: see progress.h. */
#include "bench/sweep/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/util/units.h"

enum { BAR_WIDTH = 24, LEFT_SIZE = 3 * UNIT_TEXT_SIZE + 32 };
#define ERASE_LINE "\r\033[K"

void progress_start(Progress *p, FILE *out, size_t total)
{
    *p = (Progress){.out = out, .bar = isatty(fileno(out)), .total = total};
}

static void format_left(char text[LEFT_SIZE], TimeLeft left)
{
    char about[UNIT_TEXT_SIZE], low[UNIT_TEXT_SIZE], high[UNIT_TEXT_SIZE];
    text[0] = '\0';
    if (isnan(left.seconds) || left.seconds <= 0)
        return;
    format_duration(about, left.seconds);
    format_duration(low, left.low);
    format_duration(high, left.high);
    if (left.low < left.high)
        snprintf(text, LEFT_SIZE, ", about %s left (%s to %s)", about, low, high);
    else
        snprintf(text, LEFT_SIZE, ", about %s left", about);
}

static void draw_bar(Progress *p, const char *name, TimeLeft left)
{
    char rest[LEFT_SIZE], bar[BAR_WIDTH + 1], *shown = text_cleaned(name);
    size_t full = p->total ? p->done * BAR_WIDTH / p->total : BAR_WIDTH;
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', full);
    bar[BAR_WIDTH] = '\0';
    format_left(rest, left);
    fprintf(p->out, ERASE_LINE "[%s] %zu/%zu %s%s", bar, p->done, p->total, shown, rest);
    free(shown);
    fflush(p->out);
}

void progress_row_begins(Progress *p, const char *name, TimeLeft left)
{
    if (p->bar)
        draw_bar(p, name, left);
}

void progress_row_ended(Progress *p, const char *name, const RowResult *r, TimeLeft left)
{
    char rest[LEFT_SIZE], figures[64] = "";
    p->done++;
    if (!isnan(r->std_time_ms))
        snprintf(figures, sizeof figures, ", %.2f ms, std %.2f", r->mean_time_ms, r->std_time_ms);
    else if (!isnan(r->mean_time_ms))
        snprintf(figures, sizeof figures, ", %.2f ms", r->mean_time_ms);
    format_left(rest, left);
    fputs(p->bar ? ERASE_LINE : "", p->out);
    print_clean(p->out, "[%*zu/%zu] %s: %s%s%s%s%s", snprintf(NULL, 0, "%zu", p->total), p->done,
                p->total, name, r->status, figures, *r->status_reason ? ", " : "", r->status_reason,
                p->bar ? "" : rest);
    fflush(p->out);
    if (p->bar && p->done < p->total)
        draw_bar(p, name, left);
}

void progress_end(Progress *p)
{
    if (p->bar)
        fputs(ERASE_LINE, p->out);
    fflush(p->out);
}

void progress_note(Progress *p, const char *fmt, ...)
{
    va_list ap;
    if (p->bar)
        fputs(ERASE_LINE, p->out);
    va_start(ap, fmt);
    char *text = xvasprintf(fmt, ap);
    va_end(ap);
    print_clean(p->out, "%s", text);
    free(text);
    fflush(p->out);
}
