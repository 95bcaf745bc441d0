/* options: the command line of a verb, as a table.
 *
 * The one idea: a verb lists its options once; reading them, refusing what is wrong, writing --help
 * and the manual page (man.h) are loops over that list. `--name value` and `--name=value` both
 * work; a value may begin with '-'; after `--` everything is an argument. Nothing here prints an
 * error or ends the program. */
#ifndef TARE_BENCH_UTIL_OPTIONS_H
#define TARE_BENCH_UTIL_OPTIONS_H

#include "autograd/base.h"

typedef enum OptionKind {
    OPTION_FLAG, /* target: bool *, set to true; takes no value */
    OPTION_TEXT, /* target: const char **, borrows from argv */
    OPTION_INT,  /* target: int64_t *, within min..max */
    OPTION_REAL, /* target: double *, finite, within min..max */
    OPTION_LIST, /* target: TextList *, may be repeated */
    /* set(target, context, value) decides; a flag if value_name is NULL, then value is NULL. */
    OPTION_CALL,
    /* A flag whose set(target, context, NULL) prints to stdout, like --help: the verb does not
     * run. */
    OPTION_PRINT,
} OptionKind;

typedef struct TextList {
    const char **at; /* borrows from argv */
    size_t count;
} TextList;

void text_list_add(TextList *l, const char *text); /* borrows it */
void text_list_release(TextList *l);

typedef struct Option {
    const char *name; /* "--out" */
    OptionKind kind;
    const char *value_name; /* "FILE" in --help; NULL for a flag */
    const char *help;       /* one line */
    void *target;
    const char *choices; /* OPTION_TEXT: "table|csv", or NULL for any */
    int64_t min, max;    /* OPTION_INT and OPTION_REAL; both 0 = any */
    const void *context; /* OPTION_CALL, OPTION_PRINT */
    int (*set)(void *target, const void *context, const char *value, Err *err);
    /* OPTION_CALL: a flag, but a next word that is true or false is its value. */
    bool truth;
} Option;

/* Set the option's kind and what belongs to it. A target of the wrong type does not compile.
 * `choices` may be NULL. */
Option option_flag(const char *name, bool *target, const char *help);
Option option_text(const char *name, const char *value_name, const char **target,
                   const char *choices, const char *help);
Option option_int(const char *name, const char *value_name, int64_t *target, int64_t min,
                  int64_t max, const char *help);
Option option_real(const char *name, const char *value_name, double *target, int64_t min,
                   int64_t max, const char *help);
Option option_list(const char *name, const char *value_name, TextList *target, const char *choices,
                   const char *help);
Option option_call(const char *name, const char *value_name,
                   int (*set)(void *target, const void *context, const char *value, Err *err),
                   void *target, const char *help);
Option option_print(const char *name,
                    int (*print)(void *target, const void *context, const char *value, Err *err),
                    const void *context, const char *help);

typedef struct Command {
    const char *verb;      /* "sweep" */
    const char *arguments; /* "CONFIG.toml" as --help shows it, or "" */
    const char *summary;   /* one sentence */
    const Option *options;
    size_t num_options;
    size_t min_arguments, max_arguments;
    const char *notes; /* more text for --help, or NULL; ends in a newline */
} Command;

typedef enum OptionsOutcome {
    OPTIONS_WRONG = -1, /* err says what: exit 2 */
    OPTIONS_RUN = 0,
    OPTIONS_HELP = 1 /* --help, --man or an OPTION_PRINT was asked for, is on stdout: exit 0 */
} OptionsOutcome;

/* Reads argv[1..argc-1]; argv[0] is the verb. Arguments that are no options go to arguments[0..]
 * (room for command->max_arguments), their number to *num_arguments; both may be NULL where
 * max_arguments is 0. A lone "-" is an argument. */
OptionsOutcome options_parse(const Command *command, int argc, char **argv, const char **arguments,
                             size_t *num_arguments, Err *err);

/* The place of text among the names; -1: err names them and the nearest. `what` opens the
 * sentence. */
int choice_among(const char *what, const char *const *names, size_t count, const char *text,
                 Err *err);
/* The same among "a|b|c", as its place or as 0. */
int choice_find(const char *what, const char *choices, const char *text, Err *err);
int choice_check(const char *what, const char *choices, const char *text, Err *err);

/* `set` of an OPTION_CALL whose target is a double of seconds: "90s", "45m", "2h". */
int option_set_duration(void *target, const void *context, const char *value, Err *err);

/* The whole of text as an integer or a finite number. -1: it is not one (or does not fit). */
int parse_int(const char *text, int64_t *value);
int parse_real(const char *text, double *value);

#endif
