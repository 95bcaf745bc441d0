/* toml: see toml.h. The only C++ of the project: no C parser of TOML 1.0 is packaged in Debian 12. */
#define _Noreturn [[noreturn]] /* base.h is C */
#include "toml.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <toml++/toml.h>

static char *copy_text(std::string_view s)
{
    char *text = static_cast<char *>(xmalloc(s.size() + 1));
    memcpy(text, s.data(), s.size());
    text[s.size()] = '\0';
    return text;
}

/* Throws what toml_parse turns into an Err: the same way out as a parse error of toml++. */
static std::string_view without_nul(std::string_view s, const toml::source_region &where)
{
    if (s.find('\0') != std::string_view::npos)
        throw toml::parse_error("a NUL character inside a string", where);
    return s;
}

static void fill(TomlNode *out, const toml::node &node);

static TomlNode *add_child(TomlNode *parent, const toml::node &node,
                           const toml::source_region &where)
{
    TomlNode *child = &parent->child[parent->count++];
    *child = TomlNode{};
    child->line = static_cast<int>(where.begin.line);
    fill(child, node);
    return child;
}

static void fill_table(TomlNode *out, const toml::table &table)
{
    out->kind = TOML_TABLE;
    out->child = static_cast<TomlNode *>(xcalloc(table.size() + 1, sizeof *out->child));
    for (auto &&[key, value] : table) {
        auto name = without_nul(key.str(), key.source());
        add_child(out, value, key.source())->key = copy_text(name);
    }
    std::stable_sort(out->child, out->child + out->count,
                     [](const TomlNode &a, const TomlNode &b) { return a.line < b.line; });
}

static void fill_array(TomlNode *out, const toml::array &array)
{
    out->kind = TOML_ARRAY;
    out->child = static_cast<TomlNode *>(xcalloc(array.size() + 1, sizeof *out->child));
    for (const toml::node &value : array)
        add_child(out, value, value.source());
}

static void fill(TomlNode *out, const toml::node &node)
{
    if (const toml::table *table = node.as_table()) {
        fill_table(out, *table);
    } else if (const toml::array *array = node.as_array()) {
        fill_array(out, *array);
    } else if (auto text = node.as_string()) {
        out->kind = TOML_STRING;
        out->text = copy_text(without_nul(text->get(), node.source()));
    } else if (auto integer = node.as_integer()) {
        out->kind = TOML_INTEGER;
        out->integer = integer->get();
        out->real = static_cast<double>(out->integer);
        out->text = xasprintf("%lld", static_cast<long long>(out->integer));
    } else if (auto real = node.as_floating_point()) {
        out->kind = TOML_REAL;
        out->real = real->get();
        out->text = xasprintf("%.17g", out->real);
    } else if (auto boolean = node.as_boolean()) {
        out->kind = TOML_BOOLEAN;
        out->boolean = boolean->get();
        out->text = copy_text(out->boolean ? "True" : "False");
    } else {
        out->kind = TOML_DATE;
    }
}

int toml_parse(TomlNode *document, const char *text, size_t len, const char *path, Err *err)
{
    *document = TomlNode{};
    try {
        toml::table table = toml::parse(std::string_view(text, len));
        document->line = 1;
        fill(document, table);
        return 0;
    } catch (const toml::parse_error &e) {
        toml_release(document);
        return err_set(err, "%s:%u: %.*s", path, static_cast<unsigned>(e.source().begin.line),
                       static_cast<int>(e.description().size()), e.description().data());
    }
}

void toml_release(TomlNode *document)
{
    for (size_t i = 0; i < document->count; i++)
        toml_release(&document->child[i]);
    free(document->child);
    free(document->key);
    free(document->text);
    *document = TomlNode{};
}

const char *toml_kind_name(TomlKind kind)
{
    static const char *const names[] = {"a table", "a list",    "a string", "an integer",
                                        "a real",  "a boolean", "a date"};
    return names[kind];
}

const TomlNode *toml_get(const TomlNode *table, const char *key)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->child[i].key, key) == 0)
            return &table->child[i];
    return nullptr;
}
