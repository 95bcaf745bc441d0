/* config_keys: the tables of a config file as Markdown, for configs/README.md. See config.h. */
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

void config_print_keys(const ConfigFile *first, FILE *out)
{
    for (const ConfigFile *f = first; f; f = f->next) {
        fputs(f == first ? "" : "\n", out);
        print_file(f, out);
    }
}
