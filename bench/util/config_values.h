/* config_values: what the config files of `tare compare` have in common: values of the right type within
 * their limits, tables whose keys are all known, and "key=value" settings of the command line.
 *
 * Every refusal is a sentence without its place; config_read_keys puts "file:line" before it. Which keys
 * there are is decided by the tables of compare/config.c and serving/config.c. */
#ifndef TARE_BENCH_UTIL_CONFIG_VALUES_H
#define TARE_BENCH_UTIL_CONFIG_VALUES_H

#include "bench/util/toml.h"

enum { CONFIG_MAX_LIST = 64 };

/* A key, and what takes its value into whatever `target` is. */
typedef struct ConfigKey {
    const char *name;
    int (*set)(void *target, const TomlNode *value, Err *err);
} ConfigKey;

/* Reads every key of the table; those named in `others` (NULL-terminated, or NULL) are passed over. -1:
 * "path:line: ..." for a key that is not listed or a value that its set refuses. */
int config_read_keys(const TomlNode *table, const ConfigKey *keys, size_t num_keys,
                     const char *const *others, void *target, const char *path, Err *err);

/* One setting of the command line; the value is TOML if it is some, else a string. */
int config_parse_setting(TomlNode *document, const char *setting, Err *err);

/* Values of a key; -1 with a sentence. Text replaces what *out held and belongs to the caller. */
int config_int(const TomlNode *v, int64_t min, int64_t max, int64_t *out, Err *err);
int config_text(const TomlNode *v, char **out, Err *err);
int config_bool(const TomlNode *v, bool *out, Err *err);
int config_seconds(const TomlNode *v, double *out, Err *err); /* "90s", "10m" */

/* The value as a list, where a scalar counts as a list of one. At least one value, at most
 * CONFIG_MAX_LIST. */
int config_list(const TomlNode *v, const TomlNode **items, size_t *count, Err *err);

/* Refusals. */
int config_wrong_type(const TomlNode *v, const char *wanted, Err *err);
int config_unknown(const char *what, const char *name, const char *const *known, size_t count,
                   Err *err);

#endif
