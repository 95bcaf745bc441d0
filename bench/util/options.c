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

/* ---- kinds ---- */

Option option_flag(const char *name, bool *target, const char *help)
{
    return (Option){name, OPTION_FLAG, .help = help, .target = target};
}

Option option_text(const char *name, const char *value_name, const char **target,
                   const char *choices, const char *help)
{
    return (Option){name, OPTION_TEXT, value_name, help, .target = target, .choices = choices};
}

Option option_int(const char *name, const char *value_name, int64_t *target, int64_t min,
                  int64_t max, const char *help)
{
    return (Option){name, OPTION_INT, value_name, help, .target = target, .min = min, .max = max};
}

Option option_real(const char *name, const char *value_name, double *target, int64_t min,
                   int64_t max, const char *help)
{
    return (Option){name, OPTION_REAL, value_name, help, .target = target, .min = min, .max = max};
}

Option option_list(const char *name, const char *value_name, TextList *target, const char *choices,
                   const char *help)
{
    return (Option){name, OPTION_LIST, value_name, help, .target = target, .choices = choices};
}

Option option_call(const char *name, const char *value_name,
                   int (*set)(void *target, const void *context, const char *value, Err *err),
                   void *target, const char *help)
{
    return (Option){name, OPTION_CALL, value_name, help, .target = target, .set = set};
}

Option option_print(const char *name,
                    int (*print)(void *target, const void *context, const char *value, Err *err),
                    const void *context, const char *help)
{
    return (Option){name, OPTION_PRINT, .help = help, .context = context, .set = print};
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

static void print_help(const Command *c)
{
    printf("usage: tare %s%s%s%s\n\n%s\n", c->verb, c->num_options ? " [OPTION]..." : "",
           *c->arguments ? " " : "", c->arguments, c->summary);
    if (c->num_options)
        printf("\n");
    for (size_t i = 0; i < c->num_options; i++)
        print_option(&c->options[i]);
    printf("  %-22s %s\n", "--help", "this text");
    if (c->notes)
        printf("\n%s", c->notes);
}

/* ---- reading ---- */

static const Option *find_option(const Command *c, const char *name, size_t len)
{
    for (size_t i = 0; i < c->num_options; i++)
        if (strlen(c->options[i].name) == len && strncmp(c->options[i].name, name, len) == 0)
            return &c->options[i];
    return NULL;
}

static int unknown_option(const Command *c, const char *given, Err *err)
{
    const char **names = xcalloc(c->num_options + 1, sizeof *names);
    for (size_t i = 0; i < c->num_options; i++)
        names[i] = c->options[i].name;
    names[c->num_options] = "--help";
    Hint hint;
    if (*did_you_mean(hint, given, names, c->num_options + 1))
        err_set(err, "unknown option '%s'%s", given, hint);
    else
        err_set(err, "unknown option '%s'; see tare %s --help", given, c->verb);
    free(names);
    return -1;
}

static int set_int(const Option *o, const char *value, Err *err)
{
    bool bounded = o->min != 0 || o->max != 0;
    if (parse_int(value, o->target) != 0)
        return err_set(err, "%s is '%s', not an integer", o->name, value);
    int64_t v = *(int64_t *)o->target;
    if (bounded && (v < o->min || v > o->max))
        return err_set(err, "%s is %s, outside %" PRId64 " to %" PRId64, o->name, value, o->min,
                       o->max);
    return 0;
}

static int set_real(const Option *o, const char *value, Err *err)
{
    bool bounded = o->min != 0 || o->max != 0;
    if (parse_real(value, o->target) != 0)
        return err_set(err, "%s is '%s', not a finite number", o->name, value);
    double v = *(double *)o->target;
    if (bounded && (v < (double)o->min || v > (double)o->max))
        return err_set(err, "%s is %s, outside %" PRId64 " to %" PRId64, o->name, value, o->min,
                       o->max);
    return 0;
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

/* Reads the option at argv[*i] and, where it has one, its value; moves *i to the last word read.
 * Sets *printed where the option prints something instead of running the verb. */
static int read_option(const Command *c, int argc, char **argv, int *i, bool *printed, Err *err)
{
    const char *word = argv[*i], *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    const Option *o = find_option(c, word, len);
    if (!o)
        return unknown_option(c, word, err);
    *printed = o->kind == OPTION_PRINT;
    if (!o->value_name) {
        if (equals)
            return err_set(err, "%s takes no value", o->name);
        return set_option(o, NULL, err);
    }
    if (equals)
        return set_option(o, equals + 1, err);
    if (o->truth && (*i + 1 >= argc || !is_truth(argv[*i + 1])))
        return set_option(o, "true", err);
    if (*i + 1 >= argc)
        return err_set(err, "%s needs a value: %s", o->name, o->value_name);
    *i += 1;
    return set_option(o, argv[*i], err);
}

static int check_argument_count(const Command *c, size_t count, Err *err)
{
    if (count < c->min_arguments)
        return err_set(err, "%s: %s is missing; see tare %s --help", c->verb, c->arguments,
                       c->verb);
    return 0;
}

OptionsOutcome options_parse(const Command *command, int argc, char **argv, const char **arguments,
                             size_t *num_arguments, Err *err)
{
    size_t count = 0;
    bool only_arguments = false, printed = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!only_arguments && strcmp(word, "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            print_help(command);
            return OPTIONS_HELP;
        } else if (!only_arguments && strcmp(word, "--man") == 0) {
            man_verb(command);
            return OPTIONS_HELP;
        } else if (!only_arguments && word[0] == '-' && word[1] != '\0') {
            if (read_option(command, argc, argv, &i, &printed, err) != 0)
                return OPTIONS_WRONG;
            if (printed)
                return OPTIONS_HELP;
        } else if (count == command->max_arguments) {
            err_set(err, "unexpected argument '%s'; see tare %s --help", word, command->verb);
            return OPTIONS_WRONG;
        } else {
            arguments[count++] = word;
        }
    }
    if (num_arguments)
        *num_arguments = count;
    return check_argument_count(command, count, err) == 0 ? OPTIONS_RUN : OPTIONS_WRONG;
}

int option_set_duration(void *target, const void *context, const char *value, Err *err)
{
    (void)context;
    if (parse_duration(value, target) != 0)
        return err_set(err, "'%s' is not a time such as 90s, 45m or 2h", value);
    return 0;
}
