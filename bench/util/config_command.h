/* config_command: what the command lines of all verbs with a config file have in common:
 * CONFIG.toml, --set, --filter and --keys. The verb adds its own options. */
#ifndef TARE_BENCH_UTIL_CONFIG_COMMAND_H
#define TARE_BENCH_UTIL_CONFIG_COMMAND_H

#include "bench/util/config.h"

typedef struct ConfigCommand {
    const char *path, *filter; /* filter NULL = none; both borrow from argv */
    TextList settings;
} ConfigCommand;

/* Reads argv. `command` has the verb's own options and needs no arguments; `filter_help` NULL = the
 * verb has nothing to filter. Release in every case. */
OptionsOutcome config_command_parse(ConfigCommand *c, const Command *command,
                                    const ConfigFile *file, const char *filter_help, int argc,
                                    char **argv, Err *err);
void config_command_release(ConfigCommand *c);

#endif
