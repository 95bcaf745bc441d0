/* options: see options.h. */
#include "bench/util/options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/util/man.h"
#include "bench/util/units.h"

void text_list_release(TextList *l)
{
    free(l->at);
    *l = (TextList){0};
}

void text_list_add(TextList *l, const char *text)
{
    l->at = xrealloc(l->at, (l->count + 1) * sizeof *l->at);
    l->at[l->count++] = text;
}

int parse_int(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0)
        return -1;
    *value = v;
    return 0;
}

int parse_real(const char *text, double *value)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(v))
        return -1;
    *value = v;
    return 0;
}

int bounds_check(const char *name, const char *text, bool within, int64_t min, int64_t max,
                 Err *err)
{
    if (within || (min == 0 && max == 0))
        return 0;
    return err_set(err, "%s is %s, outside %" PRId64 " to %" PRId64, name, text, min, max);
}

/* "a, b or c"; a list too long to show is cut. */
static void list_names(const char *const *names, size_t count, char *shown, size_t room)
{
    size_t used = 0;
    for (size_t i = 0; i < count && used < room; i++) {
        const char *before = i == 0 ? "" : i + 1 < count ? ", " : " or ";
        used += (size_t)snprintf(shown + used, room - used, "%s%s", before, names[i]);
    }
}

int choice_among(const char *what, const char *const *names, size_t count, const char *text,
                 Err *err)
{
    char shown[512] = "nothing";
    Hint hint;
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], text) == 0)
            return (int)i;
    list_names(names, count, shown, sizeof shown);
    did_you_mean(hint, text, names, count);
    return err_set(err, "%s is '%s'%s may be %s", what, text, *hint ? strcat(hint, " It") : "; it",
                   shown);
}

enum { MAX_CHOICES = 16, MAX_CHOICES_TEXT = 256 };

int choice_find(const char *what, const char *choices, const char *text, Err *err)
{
    char list[MAX_CHOICES_TEXT];
    const char *names[MAX_CHOICES];
    size_t count = 0;
    CHECK(strlen(choices) < sizeof list, "too long a list of choices: %s", choices);
    snprintf(list, sizeof list, "%s", choices);
    char *rest = list;
    for (char *name = strsep(&rest, "|"); name; name = strsep(&rest, "|")) {
        CHECK(count < MAX_CHOICES, "too many choices: %s", choices);
        names[count++] = name;
    }
    return choice_among(what, names, count, text, err);
}

int choice_check(const char *what, const char *choices, const char *text, Err *err)
{
    return choice_find(what, choices, text, err) < 0 ? -1 : 0;
}

/* ---- help ---- */

static void print_option(const Option *o)
{
    char left[64];
    snprintf(left, sizeof left, "%s%s%s", o->name, o->value_name ? " " : "",
             o->value_name ? o->value_name : "");
    printf("  %-22s %s", left, o->help);
    if (o->choices)
        printf(" (%s)", o->choices);
    putchar('\n');
}

const Option *command_option(const Command *c, size_t i)
{
    if (i < c->num_options)
        return &c->options[i];
    return i - c->num_options < c->num_more ? &c->more[i - c->num_options] : NULL;
}

static void print_help(const Command *c)
{
    bool any = command_option(c, 0);
    printf("usage: tare %s%s%s%s\n\n%s\n%s", c->verb, any ? " [OPTION]..." : "",
           c->arguments.text ? " " : "", c->arguments.text ? c->arguments.text : "", c->summary,
           any ? "\n" : "");
    for (size_t i = 0; command_option(c, i); i++)
        print_option(command_option(c, i));
    printf("  %-22s %s\n", "--help", "this text");
    if (c->notes)
        printf("\n%s", c->notes);
}

/* ---- reading ---- */

static const Option *find_option(const Command *c, const char *name, size_t len)
{
    const Option *o;
    for (size_t i = 0; (o = command_option(c, i)); i++)
        if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
            break;
    return o;
}

static int unknown_option(const Command *c, const char *given, Err *err)
{
    size_t count = c->num_options + c->num_more + 1;
    OWNED const char **names = xcalloc(count, sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = command_option(c, i) ? command_option(c, i)->name : "--help";
    Hint hint;
    if (*did_you_mean(hint, given, names, count))
        return err_set(err, "unknown option '%s'%s", given, hint);
    return err_set(err, "unknown option '%s'; see tare %s --help", given, c->verb);
}

static int set_int(const Option *o, const char *value, Err *err)
{
    int64_t *v = o->target;
    if (parse_int(value, v) != 0)
        return err_set(err, "%s is '%s', not an integer", o->name, value);
    return bounds_check(o->name, value, *v >= o->min && *v <= o->max, o->min, o->max, err);
}

static int set_real(const Option *o, const char *value, Err *err)
{
    double *v = o->target, min = (double)o->min, max = (double)o->max;
    if (parse_real(value, v) != 0)
        return err_set(err, "%s is '%s', not a finite number", o->name, value);
    return bounds_check(o->name, value, *v >= min && *v <= max, o->min, o->max, err);
}

static int set_option(const Option *o, const char *value, Err *err)
{
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)o->target = true;
        return 0;
    case OPTION_TEXT:
        if (o->choices && choice_check(o->name, o->choices, value, err) != 0)
            return -1;
        *(const char **)o->target = value;
        return 0;
    case OPTION_INT:
        return set_int(o, value, err);
    case OPTION_REAL:
        return set_real(o, value, err);
    case OPTION_LIST:
        text_list_add(o->target, value);
        return 0;
    case OPTION_PRINT:
    case OPTION_CALL:
        if (o->set(o->target, o->context, value, err) != 0)
            return err_prefix(err, "%s", o->name);
        return 0;
    }
    return 0;
}

static bool is_truth(const char *word)
{
    return strcmp(word, "true") == 0 || strcmp(word, "false") == 0 || strcmp(word, "True") == 0 ||
           strcmp(word, "False") == 0;
}

/* Reads the option at argv[*i] and, where it has one, its value; moves *i to the last word read. */
static int read_option(const Command *c, int argc, char **argv, int *i, Err *err)
{
    const char *word = argv[*i], *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return print_help(c), OPTIONS_DONE;
    if (strcmp(word, "--man") == 0)
        return man_verb(c), OPTIONS_DONE;
    const Option *o = find_option(c, word, len);
    if (!o)
        return unknown_option(c, word, err);
    bool alone = o->truth && !equals && (*i + 1 >= argc || !is_truth(argv[*i + 1]));
    if (!o->value_name && equals)
        return err_set(err, "%s takes no value", o->name);
    if (o->value_name && !equals && !alone && *i + 1 >= argc)
        return err_set(err, "%s needs a value: %s", o->name, o->value_name);
    const char *value = equals ? equals + 1 : alone ? "true" : o->value_name ? argv[++*i] : NULL;
    if (set_option(o, value, err) != 0)
        return -1;
    return o->kind == OPTION_PRINT ? OPTIONS_DONE : OPTIONS_RUN;
}

int options_parse(const Command *c, int argc, char **argv, Err *err)
{
    size_t count = 0;
    bool only_arguments = false;
    for (size_t i = 0; i < c->arguments.max; i++)
        c->arguments.to[i] = NULL;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!only_arguments && strcmp(word, "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments && word[0] == '-' && word[1] != '\0') {
            int outcome = read_option(c, argc, argv, &i, err);
            if (outcome != OPTIONS_RUN)
                return outcome;
        } else if (count == c->arguments.max) {
            return err_set(err, "unexpected argument '%s'; see tare %s --help", word, c->verb);
        } else {
            c->arguments.to[count++] = word;
        }
    }
    if (count < c->arguments.min)
        return err_set(err, "%s: %s is missing; see tare %s --help", c->verb, c->arguments.text,
                       c->verb);
    return OPTIONS_RUN;
}

int option_set_duration(void *target, const void *context, const char *value, Err *err)
{
    (void)context;
    if (parse_duration(value, target) != 0)
        return err_set(err, "'%s' is not a time such as 90s, 45m or 2h", value);
    return 0;
}
