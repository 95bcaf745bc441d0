/* config: a TOML file as tables of keys.
 *
 * The one idea: a verb says of each key once where it stands, what it may be, its default and its
 * meaning. Reading the file into a struct, --set, every refusal with file, line and "did you mean",
 * and the Markdown of --keys are loops over these tables. No file that a config names is opened
 * here. */
#pragma once

#include <stdio.h>

#include "bench/util/options.h"
#include "bench/util/toml.h"

/* And the member that takes the value. */
typedef enum ConfigKind {
    CONFIG_TEXT,   /* char *, owned, never "" */
    CONFIG_INT,    /* int64_t */
    CONFIG_REAL,   /* double; the file may have an integer */
    CONFIG_BOOL,   /* bool */
    CONFIG_TIME,   /* double, seconds: "90s", "10m" */
    CONFIG_BYTES,  /* int64_t: "6 GiB", 4096 */
    CONFIG_CHOICE, /* int64_t, the place among the choices */
} ConfigKind;

/* How many values: lists fill a ConfigInts, so other kinds than INT and CHOICE need a `set`. */
typedef enum ConfigCount {
    CONFIG_ONE,
    CONFIG_SOME, /* one, or a list of some */
    CONFIG_ANY,  /* one, or a list that may be empty */
} ConfigCount;

enum { CONFIG_MAX_LIST = 64 };

typedef struct ConfigInts {
    int64_t at[CONFIG_MAX_LIST];
    size_t count;
} ConfigInts;

/* What a callback sees. Its error is a sentence without the place, which the reader puts before
 * it. */
typedef struct ConfigAt {
    const char *path; /* of the file; of a setting "--set rounds=3", where value->line is 0 */
    const struct ConfigSection *section;
    const struct ConfigKey *key; /* NULL: a whole table */
    const TomlNode *value;
    void *table, *out; /* the structs that the section's keys and that all keys fill */
} ConfigAt;

typedef int (*ConfigCall)(const ConfigAt *at, Err *err);

typedef struct ConfigKey {
    const char *name;
    ConfigKind kind;
    ConfigCount count;
    bool required;
    size_t offset;   /* in the section's struct */
    double min, max; /* of INT and REAL, inclusive */
    bool positive;   /* of REAL: above 0 and finite, instead of min and max */
    /* CHOICE: "a|b|c". INT: words that `set` takes too. BYTES: a word that stands for 0. */
    const char *choices;
    /* CHOICE, instead of `choices`: the i-th name; NULL = no more. `out` is NULL for --keys. */
    const char *(*choice)(const void *out, size_t i);
    const char *fallback; /* as --set has it; NULL = zero bytes */
    const char *doc;
    /* Takes a value of the right kind in the place of `offset`; the fallback is then only shown. */
    ConfigCall set;
    ConfigCall check; /* looks at what was read, or acts on it; NULL = nothing to do */
} ConfigKey;

#define CONFIG_KEY_CALLED(name_, kind_, Struct, member, ...)                                       \
    {                                                                                              \
        .name = name_, .kind = CONFIG_##kind_, .offset = offsetof(Struct, member), __VA_ARGS__     \
    }
/* Called like its member. */
#define CONFIG_KEY(kind, Struct, member, ...)                                                      \
    CONFIG_KEY_CALLED(#member, kind, Struct, member, __VA_ARGS__)

/* A [name], or with `size` a [[name]]: its keys fill the elements of an array, which is
 * allocated. */
typedef struct ConfigSection {
    const char *name; /* NULL = the top of the file, which is the first section */
    const ConfigKey *keys;
    size_t num_keys;
    size_t size;      /* [[name]]: bytes of an element */
    size_t offset;    /* [[name]]: in out, of the pointer to the array */
    size_t count;     /* [[name]]: in out, of its size_t number of elements */
    bool optional;    /* [[name]]: the file may have none */
    ConfigCall check; /* of each table that the file has; NULL = nothing to check */
} ConfigSection;

#define CONFIG_SECTION(name_, keys_, ...)                                                          \
    {                                                                                              \
        .name = name_, .keys = keys_, .num_keys = COUNT_OF(keys_), __VA_ARGS__                     \
    }

#define CONFIG_FILE(sections_, Struct, ...)                                                        \
    {                                                                                              \
        .sections = sections_, .num_sections = COUNT_OF(sections_), .size = sizeof(Struct),        \
        __VA_ARGS__                                                                                \
    }

/* One kind of file. `out` begins with a char *path. */
typedef struct ConfigFile {
    const char *title; /* a line for --keys */
    const char *task;  /* the file has task = "..."; NULL = it has no task */
    /* Another kind of file of the same verb, told apart by its task; NULL = none. */
    const struct ConfigFile *next;
    const ConfigSection *sections; /* read in this order, wherever they stand in the file */
    size_t num_sections;
    size_t size;         /* bytes of out */
    const void *initial; /* what out begins as, before its defaults; NULL = zero bytes */
    int (*check)(void *out, Err *err);
    void (*release)(void *out); /* what `set`s have allocated; NULL = nothing */
} ConfigFile;

/* Fills `out` (not initialized) with defaults, the file's values, then "key=value" or
 * "section.key=value" settings of the command line. A setting's value is TOML or a bare word; a
 * [[table]]'s keys have no settings. -1 leaves nothing to release. All kinds of file in the list
 * fill the same struct. */
int config_load(const ConfigFile *file, void *out, const char *path, const TextList *settings,
                Err *err);
int config_load_text(const ConfigFile *file, void *out, const char *text, size_t len,
                     const char *path, const TextList *settings, Err *err);
void config_release(const ConfigFile *file, void *out);
/* Frees the texts of one element of a [[name]] that its array no longer holds. */
void config_release_table(const ConfigSection *s, void *table);

/* The two steps of config_load, for a verb that must know which kind of file it is: first->task or
 * that of another kind in the list. */
typedef struct ConfigDocument {
    const char *path; /* borrowed */
    const ConfigFile *first, *file;
    TomlNode root;
} ConfigDocument;

int config_open(ConfigDocument *d, const ConfigFile *first, const char *path, Err *err);
int config_read(const ConfigDocument *d, void *out, const TextList *settings, Err *err);
void config_close(ConfigDocument *d);

/* What the command lines of all verbs with a config have in common: CONFIG.toml, --set, --filter
 * and --keys. */
typedef struct ConfigCommand {
    const char *path, *filter; /* filter NULL = none; both borrow from argv */
    TextList settings;
} ConfigCommand;

/* options_parse of a command that has only the verb's own options, and then, unless something else
 * was asked for, run(c, err), which returns an exit code or -1; c, which the verb's own struct
 * begins with, is released. `filter_help` NULL = the verb has nothing to filter. Where the command
 * names its argument, "[CONFIG.toml]", it may be left out. */
int config_command_run(ConfigCommand *c, const Command *command, const ConfigFile *file,
                       const char *filter_help, int (*run)(void *c, Err *err), int argc,
                       char **argv, Err *err);

/* ---- between config.c and config_value.c ---- */

/* Checks at->value against at->key and stores it, or hands it to `set`. */
int config_take(const ConfigAt *at, Err *err);

/* "key=TEXT" as a node: TOML if it is some and the key wants no text, else a string. */
void config_parse_value(const ConfigKey *key, const char *text, TomlNode *value);
