/* config_keys: a config on the command line, and its tables as Markdown, for configs/README.md. See
 * config.h. */
#include "bench/util/config.h"

#include <string.h>

static void print_type(const ConfigKey *key, FILE *out)
{
    static const char *const names[] = {
        [CONFIG_TEXT] = "text",
        [CONFIG_INT] = "integer",
        [CONFIG_REAL] = "number",
        [CONFIG_BOOL] = "true or false",
        [CONFIG_TIME] = "time like `\"10m\"`",
        [CONFIG_BYTES] = "size like `\"6 GiB\"`",
        [CONFIG_CHOICE] = "",
    };
    fprintf(out, "%s", names[key->kind]);
    if (key->positive)
        fprintf(out, " above 0");
    else if (key->max > 0x1p52)
        fprintf(out, " from %.16g", key->min);
    else if (key->max > 0)
        fprintf(out, " %.16g to %.16g", key->min, key->max);
    for (const char *word = key->choices; word && *word; word += *word == '|') {
        int len = (int)strcspn(word, "|");
        fprintf(out, "%s`%.*s`", word == key->choices && !*names[key->kind] ? "" : ", ", len, word);
        word += len;
    }
    for (size_t i = 0; key->choice && key->choice(NULL, i); i++)
        fprintf(out, "%s`%s`", i ? ", " : "", key->choice(NULL, i));
    if (key->choice && !key->choice(NULL, 0))
        fprintf(out, "name");
    if (key->count != CONFIG_ONE)
        fprintf(out, "; or a list");
}

static void print_section(const ConfigSection *s, FILE *out)
{
    if (s->name)
        fprintf(out, s->size ? "`[[%s]]`" : "`[%s]`", s->name);
    else
        fprintf(out, "At the top");
}

static void print_keys(const ConfigSection *s, const char *task, FILE *out)
{
    fprintf(out, ":\n\n| key | type | default | meaning |\n|---|---|---|---|\n");
    if (task)
        fprintf(out, "| `task` | `%s` | required | makes it such a file |\n", task);
    for (const ConfigKey *key = s->keys; key < s->keys + s->num_keys; key++) {
        fprintf(out, "| `%s` | ", key->name);
        print_type(key, out);
        if (key->fallback)
            fprintf(out, " | `%s` | %s |\n", key->fallback, key->doc);
        else
            fprintf(out, " | %s | %s |\n", key->required ? "required" : "", key->doc);
    }
}

/* Sections with the same keys, [defaults] and [sweep], share a table. */
static void print_file(const ConfigFile *f, FILE *out)
{
    fprintf(out, "### %s\n", f->title);
    for (size_t i = 0; i < f->num_sections; i++) {
        const ConfigSection *s = &f->sections[i];
        fputc('\n', out);
        print_section(s, out);
        while (i + 1 < f->num_sections && s->keys == f->sections[i + 1].keys) {
            fprintf(out, " and ");
            print_section(&f->sections[++i], out);
        }
        print_keys(s, i == 0 ? f->task : NULL, out);
    }
}

/* ---- the command line ---- */

/* Of each kind of file. */
static int print_keys_option(void *target, const void *first, const char *value, Err *err)
{
    (void)target, (void)value, (void)err;
    for (const ConfigFile *f = first; f; f = f->next) {
        fputs(f == first ? "" : "\n", stdout);
        print_file(f, stdout);
    }
    return 0;
}

int config_command_run(ConfigCommand *c, const Command *command, const ConfigFile *file,
                       const char *filter_help, int (*run)(void *c, Err *err), int argc,
                       char **argv, Err *err)
{
    const Option shared[] = {
        option_list("--set", "KEY=VALUE", &c->settings, NULL,
                    "a key of CONFIG.toml, but of a [[table]], in its place; repeatable"),
        option_print("--keys", print_keys_option, file,
                     "print what each key of CONFIG.toml means, as Markdown"),
        option_text("--filter", "REGEX", &c->filter, NULL, filter_help),
    };
    Command whole = *command;
    bool optional = command->arguments.text; /* "[CONFIG.toml]": the verb has one built in */
    whole.arguments.text = optional ? command->arguments.text : "CONFIG.toml";
    whole.arguments.min = !optional;
    whole.arguments.max = 1;
    whole.arguments.to = &c->path;
    whole.more = shared;
    whole.num_more = COUNT_OF(shared) - !filter_help;
    int code = options_parse(&whole, argc, argv, err);
    if (code == OPTIONS_RUN)
        code = run(c, err);
    text_list_release(&c->settings);
    return code;
}
