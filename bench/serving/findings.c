/* findings: what can be said of a sentiment comparison, in sentences; see serving.h.
 *
 * The one idea: every sentence is made from figures of this run and says nothing that their
 * intervals do not carry. Where there is nothing to say there is no sentence. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/machine/machine.h"
#include "bench/serving/serving.h"
#include "bench/serving/score.h"

__attribute__((format(printf, 2, 3))) static void say(json_t *list, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    OWNED char *sentence = xvasprintf(format, arguments);
    va_end(arguments);
    json_array_append_new(list, json_string(sentence));
}

/* Appends to *text, which it replaces, behind a comma where it is not empty. */
__attribute__((format(printf, 2, 3))) static void add(char **text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    OWNED char *more = xvasprintf(format, arguments);
    va_end(arguments);
    char *longer = xasprintf("%s%s%s", *text, **text ? ", " : "", more);
    free(*text);
    *text = longer;
}

/* ---- latency ---- */

static bool is_measured(const Serving *s, const ServingEntry *c)
{
    return c->entry.rounds > 0 && session_state(&s->session, &c->entry) == ENTRY_OK;
}

static const ServingEntry *quickest(const Serving *s)
{
    const ServingEntry *best = NULL;
    for (const ServingEntry *c = s->entries; c < s->entries + s->count; c++) {
        if (is_measured(s, c) && (!best || c->latency.median < best->latency.median))
            best = c;
    }
    return best;
}

static void compare_speed(const Serving *s, json_t *list)
{
    const ServingEntry *best = quickest(s);
    for (size_t i = 0; best && i < s->count; i++) {
        const ServingEntry *c = &s->entries[i];
        RatioTest r = serving_entry_ratio(s, best, c);
        if (isnan(r.ratio))
            continue;
        const char *a = serving_entry_name(best), *b = serving_entry_name(c);
        double mine = best->latency.median, theirs = c->latency.median;
        if (isnan(r.interval.lo))
            say(list, "Too few rounds to tell %s (median %.4g ms) from %s (%.4g ms).", a, mine, b,
                theirs);
        else if (r.interval.hi < 1)
            say(list,
                "%s takes %.2f of the time of %s [%.2f, %.2f], paired by round: median %.4g ms "
                "against %.4g ms, %.2f times as fast.",
                a, r.ratio, b, r.interval.lo, r.interval.hi, mine, theirs, 1 / r.ratio);
        else
            say(list, "No clear difference in speed between %s and %s: ratio %.2f [%.2f, %.2f].", a,
                b, r.ratio, r.interval.lo, r.interval.hi);
    }
}

/* What keeps an implementation out of the comparison of speeds. */
static void name_doubtful(const Serving *s, json_t *list)
{
    for (const ServingEntry *c = s->entries; c < s->entries + s->count; c++) {
        const char *name = serving_entry_name(c);
        Err why;
        switch (session_state(&s->session, &c->entry)) {
        case ENTRY_OK:
            break;
        case ENTRY_FAILED:
            say(list, "%s was not measured: %s.", name, c->entry.failure.msg);
            break;
        case ENTRY_DIFFERS:
            say(list, "%s computes something else than tare (%s), so its speed is not compared.",
                name, c->entry.parity.reason);
            break;
        case ENTRY_IMPLAUSIBLE:
            plausible(session_peaks(&s->session), &c->entry.claim, &why);
            say(list, "%s's time is not believed: %s.", name, why.msg);
            break;
        }
    }
}

/* One sentence for each kind of figure, with all implementations that have it. */
static void list_figures(const Serving *s, json_t *list)
{
    OWNED char *tails = xstrdup(""), *shares = xstrdup(""), *starts = xstrdup("");
    for (const ServingEntry *c = s->entries; c < s->entries + s->count; c++) {
        const char *name = serving_entry_name(c);
        if (is_measured(s, c) && !isnan(c->latency.p99))
            add(&tails, "%s %.2f (%.2f)", name, c->latency.p99 / c->latency.median, c->text_p99);
        if (is_measured(s, c))
            add(&shares, "%s %.2g %%", name, 100 * c->tokenizer_share);
        if (is_measured(s, c))
            add(&starts, "%s %.3g s", name, (c->start_ms + c->load_ms + c->first_ms) / 1e3);
    }
    if (*tails)
        say(list,
            "P99 over the median, texts of all lengths together (each request over the median of "
            "its own text): %s.",
            tails);
    if (*shares)
        say(list, "Tokenizer's share of a request: %s.", shares);
    if (*starts)
        say(list, "From nothing to the first label (process, model load, first request): %s.",
            starts);
}

/* ---- labels ---- */

static ServingSet largest_set(const Serving *s)
{
    ServingSet best = 0;
    for (ServingSet set = 1; set < NUM_SETS; set++)
        if (s->sets[set].count > s->sets[best].count)
            best = set;
    return best;
}

static void name_disagreement(const Serving *s, const ServingEntry *c, size_t differ, json_t *list)
{
    ServingSet set = largest_set(s);
    size_t first = serving_first(s, set);
    double p = mcnemar_of(&s->sets[set], s->entries[0].labels + first, c->labels + first);
    say(list,
        "tare and %s label %zu of %zu texts differently; on the %s set their accuracies %s "
        "(McNemar p = %.2g).",
        serving_entry_name(c), differ, s->num_texts, serving_set_names[set],
        p < 1 - CONFIDENCE_LEVEL ? "differ" : "cannot be told apart", p);
}

static void compare_labels(const Serving *s, json_t *list)
{
    const int32_t *ours = s->entries[0].labels;
    size_t others = 0, differing = 0;
    for (const ServingEntry *c = s->entries + 1; c < s->entries + s->count && ours; c++) {
        size_t differ = c->labels ? s->num_texts - agreements(ours, c->labels, s->num_texts) : 0;
        others += c->labels != NULL;
        differing += differ > 0;
        if (differ > 0)
            name_disagreement(s, c, differ, list);
    }
    if (others > 0 && differing == 0)
        say(list, "All %zu implementations give the same label to each of the %zu texts.",
            others + 1, s->num_texts);
}

static void name_accuracy(const Serving *s, json_t *list)
{
    const int32_t *labels = s->entries[0].labels;
    for (ServingSet set = 0; set < NUM_SETS && labels; set++) {
        Score score = score_of(&s->sets[set], labels + serving_first(s, set), NULL);
        if (score.texts == 0)
            continue;
        say(list, "tare has %.0f of %" PRId64 " %s texts right: %.1f %% [%.1f, %.1f].", score.right,
            score.texts, serving_set_names[set], 100 * score.share, 100 * score.lo, 100 * score.hi);
    }
}

/* Over the sentences written for this project, which have every category by design. */
static void name_weakest_category(const Serving *s, json_t *list)
{
    const int32_t *labels = s->entries[0].labels;
    const LabelledTexts *texts = &s->sets[SET_BENCHMARK];
    size_t count;
    OWNED const char **names = categories_of(texts, &count);
    Score worst = {.share = 2};
    const char *name = NULL;
    for (size_t i = 0; i < count && labels; i++) {
        Score score = score_of(texts, labels + serving_first(s, SET_BENCHMARK), names[i]);
        if (score.share < worst.share) {
            worst = score;
            name = names[i];
        }
    }
    if (name && worst.share < 1)
        say(list,
            "Weakest category of the benchmark samples: %s, %.0f of %" PRId64
            " right [%.0f, %.0f %%].",
            name, worst.right, worst.texts, 100 * worst.lo, 100 * worst.hi);
}

/* ---- the machine ---- */

static void name_peak_share(const Serving *s, json_t *list)
{
    const ServingEntry *ours = &s->entries[0];
    double share = entry_peak_fraction(&ours->entry, session_peaks(&s->session));
    if (is_measured(s, ours) && !isnan(share))
        say(list,
            "tare computes at %.2f of the peak of %.4g GFLOP/s measured in this run, tokenizer "
            "included; of all implementations the FLOPs are counted that a label needs.",
            share, peaks_measured(session_peaks(&s->session)));
}

static void name_other_programs(const Serving *s, json_t *list)
{
    if (s->session.other_cpus > CPUS_IN_USE)
        say(list,
            "Other programs kept %.2f CPUs busy before the start: times and tails are too high, "
            "ratios less so.",
            s->session.other_cpus);
}

json_t *serving_findings(const Serving *s)
{
    json_t *list = json_array();
    compare_speed(s, list);
    name_doubtful(s, list);
    list_figures(s, list);
    compare_labels(s, list);
    name_accuracy(s, list);
    name_weakest_category(s, list);
    name_peak_share(s, list);
    name_other_programs(s, list);
    return list;
}
