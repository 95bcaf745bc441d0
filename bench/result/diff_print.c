/* diff_print: a judged Diff as a table, CSV, Markdown or JSON. The columns are listed once,
 * below. */
#include <math.h>

#include "bench/result/diff.h"
#include "bench/util/fields.h"
#include "bench/util/table.h"
#include "bench/util/units.h"

static bool of_processes(const DiffRow *r)
{
    return r->unit == DIFF_PROCESSES || r->unit == DIFF_APART;
}

/* The change that a note says how to find: twice the threshold; between processes 5 % at least. */
static double wanted_change(const Diff *d)
{
    const double trials_alone = 0, processes = 0.05;
    bool any = d->unit == DIFF_PROCESSES || d->unit == DIFF_TRIALS;
    return fmax(2 * d->threshold, any ? processes : trials_alone);
}

/* What is too little of one side: too few processes or, of one process, trials. */
static void write_too_few(const DiffRow *r, const char *units, char *text)
{
    snprintf(text, TEXT_SIZE, "%zu and %zu %s are too few to test", diff_units(r, false),
             diff_units(r, true), units);
}

static void write_note(const Diff *d, const DiffRow *r, char *text)
{
    text[0] = '\0';
    if (r->verdict != VERDICT_INCONCLUSIVE)
        return;
    const char *units = of_processes(r) ? "processes" : "trials";
    double wanted = wanted_change(d), needed = trials_to_detect(r->cv, wanted - d->threshold);
    char tell[UNIT_TEXT_SIZE], shows[UNIT_TEXT_SIZE], then[UNIT_TEXT_SIZE];
    format_percent(tell, r->least_change);
    format_percent(shows, d->threshold + r->detectable);
    format_percent(then, wanted);
    if (isnan(r->detectable))
        write_too_few(r, units, text);
    else if (!r->spread_known)
        snprintf(text, TEXT_SIZE, "one process a side");
    else if (r->by_floor)
        snprintf(text, TEXT_SIZE,
                 "one process a side: by the noise floor only changes beyond %s tell", tell);
    else if (r->least_change > d->threshold)
        snprintf(text, TEXT_SIZE, "%s: only changes beyond %s tell",
                 r->least_change > r->wait ? "the machine changed between the sweeps"
                                           : "threads waited for a CPU",
                 tell);
    else if (verdict_of(r->test.interval, d->threshold) != VERDICT_INCONCLUSIVE)
        snprintf(text, TEXT_SIZE, "could be chance among this many rows");
    else if (wanted > 0 && needed > (double)diff_units(r, false))
        snprintf(text, TEXT_SIZE, "changes from %s would show; with %.0f %s a side, from %s", shows,
                 needed, units, then);
    else
        snprintf(text, TEXT_SIZE, "changes from %s would show", shows);
}

/* What would settle an inconclusive verdict. */
typedef struct Remedy {
    bool processes; /* more of them would: not where the user said what they differ by */
    bool known;     /* their spread is, of a row at least */
    bool in_turns;  /* the machine changed between the sweeps: more of each sweep would not do */
    double seen;    /* processes a side so far, the fewest of the rows */
    double needed;  /* processes a side with which each of these rows would show wanted_change */
} Remedy;

static Remedy remedy_of(const Diff *d)
{
    Remedy m = {.seen = INFINITY, .needed = FEWEST_PROCESSES};
    double wanted = wanted_change(d);
    for (size_t i = 0; i < d->count; i++) {
        const DiffRow *r = &d->rows[i];
        bool known = of_processes(r) || r->by_floor;
        m.processes |= known || !r->spread_known;
        if (r->verdict != VERDICT_INCONCLUSIVE)
            continue;
        m.known |= known;
        m.seen = fmin(m.seen, of_processes(r) ? (double)diff_units(r, false) : 1);
        m.in_turns |= r->unit == DIFF_APART && r->shift > wanted;
        if (known)
            m.needed = fmax(m.needed, trials_to_detect(r->cv, wanted - d->threshold));
    }
    return m;
}

/* That remedy, or "". */
static void write_advice(const Diff *d, FieldTEXT text)
{
    char duration[UNIT_TEXT_SIZE], wanted[UNIT_TEXT_SIZE];
    Remedy m = remedy_of(d);
    bool enough = m.known && m.needed <= m.seen; /* a change that is smaller is not told yet */
    double processes = enough ? 2 * m.seen : m.needed;
    text[0] = '\0';
    if (d->verdict != VERDICT_INCONCLUSIVE || d->count == 0 || !m.processes)
        return;
    format_percent(wanted, wanted_change(d));
    format_duration(duration, 2 * processes * (double)d->count * d->process_seconds);
    if (m.in_turns)
        snprintf(text, TEXT_SIZE,
                 "the machine changed between the sweeps: tare diff --run OLD NEW CONFIG "
                 "--processes %.0f, about %s, does not depend on it",
                 processes, duration);
    else if (!d->spread_known)
        snprintf(
            text, TEXT_SIZE,
            "one process a side tells nothing of the spread between processes: run at least "
            "%.0f a side, about %s, by num_processes = %.0f or tare diff --run OLD NEW CONFIG, "
            "or give --threshold",
            processes, duration, processes);
    else if (enough)
        snprintf(text, TEXT_SIZE,
                 "%.0f processes a side show a change of %s; a smaller one takes more, such as "
                 "%.0f a side, about %s",
                 m.seen, wanted, processes, duration);
    else if (d->unit == DIFF_PROCESSES)
        snprintf(text, TEXT_SIZE, "a change of %s needs --processes %.0f, about %s", wanted,
                 processes, duration);
    else
        snprintf(text, TEXT_SIZE,
                 "a change of %s needs %.0f processes a side, about %s: num_processes = %.0f "
                 "or tare diff --run OLD NEW CONFIG",
                 wanted, processes, duration, processes);
}

static int64_t processes_of(const DiffRow *r, size_t processes, size_t count)
{
    size_t told = r->unit == DIFF_PROCESSES ? count : processes;
    return (int64_t)(told ? told : 1);
}

static bool all_of_processes(const Diff *d)
{
    bool all = d->unit != DIFF_PAIRED_TRIALS && (d->count > 0 || d->unit == DIFF_PROCESSES);
    for (size_t i = 0; i < d->count; i++)
        all &= of_processes(&d->rows[i]);
    return all;
}

static Table table_of_rows(const Diff *d, TableFormat format, FILE *out)
{
    Table t = table_new(out, format, "row");
    table_columns(&t, "row_id|old_trials|new_trials", TABLE_NEVER);
    table_columns(&t, "old_ms|new_ms|ratio[]", TABLE_ALWAYS);
    table_columns(&t, "coverage", TABLE_NEVER);
    table_columns(&t, "p|q", TABLE_ALWAYS);
    table_columns(&t, "welch_ratio|welch_p|cv|least_change|detectable", TABLE_NEVER);
    table_columns(&t, "verdict|note", TABLE_ALWAYS);
    table_columns(&t, "old_processes|new_processes", TABLE_NEVER);
    for (size_t i = 0; i < d->count; i++) {
        const DiffRow *r = &d->rows[i];
        FieldTEXT note;
        write_note(d, r, note);
        table_cells(&t, "%s|%s|%zu|%zu|%.4g|%.4g", r->name, r->row_id, r->old_count, r->new_count,
                    r->old_median, r->new_median);
        table_cells(&t, "%.4g [%.4g, %.4g]|%.4g|%.4g|%.4g", r->test.ratio, r->test.interval.lo,
                    r->test.interval.hi, r->test.interval.coverage, r->test.p, r->q);
        table_cells(&t, "%.4g|%.4g|%.4g|%.4g|%.4g|%s|%s", r->welch.ratio, r->welch.p, r->cv,
                    r->least_change, r->detectable, verdict_name(r->verdict), note);
        table_int(&t, processes_of(r, r->old_processes, r->old_count));
        table_int(&t, processes_of(r, r->new_processes, r->new_count));
        table_row_end(&t);
    }
    return t;
}

static void print_json(const Diff *d, FILE *out)
{
    Table rows = table_of_rows(d, TABLE_JSON, NULL);
    Table skipped = table_new(NULL, TABLE_JSON, "row|reason");
    for (size_t i = 0; i < d->num_skipped; i++)
        table_row(&skipped, "%s|%s", d->skipped[i].name, d->skipped[i].reason);
    FieldTEXT advice;
    write_advice(d, advice);
    json_t *root = json_object();
    json_object_set_new(root, "verdict", json_string(verdict_name(d->verdict)));
    json_object_set_new(root, "ratio", number_json(d->ratio));
    json_object_set_new(root, "ratio_lo", number_json(d->interval.lo));
    json_object_set_new(root, "ratio_hi", number_json(d->interval.hi));
    json_object_set_new(root, "threshold", json_real(d->threshold));
    json_object_set_new(root, "unit", json_string(all_of_processes(d) ? "process" : "trial"));
    json_object_set_new(root, "spread_known", json_boolean(d->spread_known));
    json_object_set_new(root, "advice", advice[0] ? json_string(advice) : json_null());
    json_object_set_new(root, "differences", json_string_nocheck(d->differences));
    json_object_set_new(root, "rows", table_end_json(&rows));
    json_object_set_new(root, "not_compared", table_end_json(&skipped));
    json_dumpf(root, out, JSON_INDENT(1));
    fputc('\n', out);
    json_decref(root);
}

void diff_print_summary(const Diff *d, FILE *out)
{
    size_t seen[VERDICT_REGRESSION + 1] = {0};
    FieldTEXT advice;
    for (size_t i = 0; i < d->count; i++)
        seen[d->rows[i].verdict]++;
    for (size_t i = 0; i < d->num_skipped; i++)
        print_clean(out, "not compared: %s: %s", d->skipped[i].name, d->skipped[i].reason);
    fprintf(out, "verdict: %s\n", verdict_name(d->verdict));
    fprintf(out, "%zu rows", d->count);
    for (int v = VERDICT_REGRESSION; v >= VERDICT_INCONCLUSIVE; v--)
        fprintf(out, "%s %zu %s", v == VERDICT_REGRESSION ? ":" : ",", seen[v], verdict_name(v));
    fputc('\n', out);
    if (d->count > 0)
        fprintf(out, "new / old: geometric mean %.4g", d->ratio);
    if (!isnan(d->interval.lo))
        fprintf(out, ", 95 %% interval %.4g to %.4g", d->interval.lo, d->interval.hi);
    if (d->count > 0)
        fprintf(out, "; changes within %.3g %% count as none\n", 100 * d->threshold);
    write_advice(d, advice);
    if (advice[0])
        fprintf(out, "%s\n", advice);
    size_t waited = 0;
    double much = fmax(d->threshold, NOISE_THRESHOLD);
    for (size_t i = 0; i < d->count; i++)
        waited += d->rows[i].wait > much;
    if (waited)
        fprintf(out,
                "in %zu row%s threads waited for a CPU, more than %.2g %% of the time: a quiet "
                "machine needs fewer processes\n",
                waited, waited == 1 ? "" : "s", 100 * much);
}

void diff_print(const Diff *d, const char *format, FILE *out)
{
    TableFormat kind = table_format(format);
    if (kind == TABLE_JSON) {
        print_json(d, out);
        return;
    }
    Table t = table_of_rows(d, kind, out);
    table_end(&t);
    if (kind == TABLE_CSV)
        return;
    fputc('\n', out);
    diff_print_summary(d, out);
}
