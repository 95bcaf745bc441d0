/* config_command: see config_command.h. */
#include "bench/util/config_command.h"

#include <stdlib.h>
#include <string.h>

static int print_keys(void *target, const void *context, const char *value, Err *err)
{
    (void)target, (void)value, (void)err;
    config_print_keys(context, stdout);
    return 0;
}

OptionsOutcome config_command_parse(ConfigCommand *c, const Command *command,
                                    const ConfigFile *file, const char *filter_help, int argc,
                                    char **argv, Err *err)
{
    const Option shared[] = {
        option_list("--set", "KEY=VALUE", &c->settings, NULL,
                    "a key of CONFIG.toml, but of a [[table]], in its place; repeatable"),
        option_print("--keys", print_keys, file,
                     "print what each key of CONFIG.toml means, as Markdown"),
        option_text("--filter", "REGEX", &c->filter, NULL, filter_help),
    };
    size_t count = COUNT_OF(shared) - !filter_help;
    Option *options = xmalloc((command->num_options + count) * sizeof *options);
    memcpy(options, command->options, command->num_options * sizeof *options);
    memcpy(options + command->num_options, shared, count * sizeof *options);
    Command whole = *command;
    whole.arguments = "CONFIG.toml";
    whole.options = options;
    whole.num_options += count;
    whole.min_arguments = whole.max_arguments = 1;
    OptionsOutcome outcome = options_parse(&whole, argc, argv, &c->path, NULL, err);
    free(options);
    return outcome;
}

void config_command_release(ConfigCommand *c)
{
    text_list_release(&c->settings);
}
