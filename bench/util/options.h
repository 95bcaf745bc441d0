/* options: the command line of a verb, as a table.
 *
 * The one idea: a verb lists its options once; reading them, refusing what is wrong, writing --help
 * and the manual page (man.h) are loops over that list. `--name value` and `--name=value` both
 * work; a value may begin with '-'; after `--` everything is an argument. Nothing here prints an
 * error or ends the program. */
#pragma once

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

/* Each is an Option of that kind. A target of the wrong type does not compile; `choices` may be
 * NULL. */
#define OPTION(kind_, Target, name_, value_name_, target_, help_, ...)                             \
    ((Option){.kind = OPTION_##kind_,                                                              \
              .name = (name_),                                                                     \
              .value_name = (value_name_),                                                         \
              .target = 1 ? (target_) : (Target *)NULL,                                            \
              .help = (help_),                                                                     \
              __VA_ARGS__})
#define option_flag(name, target, help) OPTION(FLAG, bool, name, NULL, target, help, )
#define option_text(name, value_name, target, choices_, help)                                      \
    OPTION(TEXT, const char *, name, value_name, target, help, .choices = (choices_))
#define option_int(name, value_name, target, min_, max_, help)                                     \
    OPTION(INT, int64_t, name, value_name, target, help, .min = (min_), .max = (max_))
#define option_real(name, value_name, target, min_, max_, help)                                    \
    OPTION(REAL, double, name, value_name, target, help, .min = (min_), .max = (max_))
#define option_list(name, value_name, target, choices_, help)                                      \
    OPTION(LIST, TextList, name, value_name, target, help, .choices = (choices_))
#define option_call(name, value_name, set_, target, help)                                          \
    OPTION(CALL, void, name, value_name, target, help, .set = (set_))
#define option_print(name, print, context_, help)                                                  \
    OPTION(PRINT, void, name, NULL, NULL, help, .context = (context_), .set = (print))

typedef struct Command {
    const char *verb;             /* "sweep" */
    const char *summary;          /* one sentence */
    const Option *options, *more; /* in the order of --help */
    size_t num_options, num_more;
    /* What is no option. `to` has room for `max`, which get NULL where they are not given; min and
     * max are numbers of words. */
    struct {
        const char *text; /* "MODEL_DIR [FILE]" as --help shows it; NULL = there are none */
        size_t min, max;
        const char **to;
    } arguments;
    const char *notes; /* more text for --help, or NULL; ends in a newline */
} Command;

#define OPTIONS(list) .options = (list), .num_options = COUNT_OF(list)

/* The i-th of all options; NULL = there are no more. */
const Option *command_option(const Command *c, size_t i);

enum {
    OPTIONS_WRONG = -1, /* err says what */
    OPTIONS_DONE = 0,   /* --help, --man or an OPTION_PRINT was asked for, is on stdout */
    OPTIONS_RUN = 1
};

/* Reads argv[1..argc-1]; argv[0] is the verb. A lone "-" is an argument. */
int options_parse(const Command *command, int argc, char **argv, Err *err);

/* The place of text among the names; -1: err names them and the nearest. `what` opens the
 * sentence. */
int choice_among(const char *what, const char *const *names, size_t count, const char *text,
                 Err *err);
/* The same among "a|b|c", as its place or as 0. */
int choice_find(const char *what, const char *choices, const char *text, Err *err);
int choice_check(const char *what, const char *choices, const char *text, Err *err);

/* `set` of an OPTION_CALL whose target is a double of seconds: "90s", "45m", "2h". */
int option_set_duration(void *target, const void *context, const char *value, Err *err);

/* 0 where `within`, or where there are no bounds, both 0. -1: err says which `name` breaks. */
int bounds_check(const char *name, const char *text, bool within, int64_t min, int64_t max,
                 Err *err);

/* The whole of text as an integer or a finite number. -1: it is not one (or does not fit). */
int parse_int(const char *text, int64_t *value);
int parse_real(const char *text, double *value);
