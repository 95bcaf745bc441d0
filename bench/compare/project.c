/* project: see project.h. */
#include "bench/compare/project.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/decoder.h"
#include "model/families/family.h"
#include "model/files/config_json.h"
#include "model/files/weights.h"
#include "bench/util/process.h"

enum { MAKE_SECONDS = 1800, HASH_SECONDS = 300 };

static bool holds_peers(const char *root)
{
    OWNED char *worker = xasprintf("%s/bench/peers/worker.py", root);
    return access(worker, R_OK) == 0;
}

static bool find_below(Project *p, const char *folder)
{
    if (holds_peers(folder)) {
        p->root = xstrdup(folder);
        p->local = xstrdup(folder);
        return true;
    }
    char *installed = xasprintf("%s/share/tare", folder);
    if (holds_peers(installed)) {
        p->root = installed;
        p->local = xstrdup(".");
        return true;
    }
    free(installed);
    return false;
}

static void find_root(Project *p)
{
    OWNED char *folder = xstrdup(p->program);
    char *slash;
    bool found = find_below(p, ".");
    while (!found && (slash = strrchr(folder, '/')) && slash != folder) {
        *slash = '\0';
        found = find_below(p, folder);
    }
    if (!found)
        p->local = xstrdup(".");
}

static void find_python(Project *p)
{
    const char *named = getenv("TARE_PYTHON");
    bool is_named = named && *named;
    p->python = is_named ? xstrdup(named) : xasprintf("%s/.venv/bin/python", p->local);
    if (access(p->python, X_OK) == 0)
        return;
    free(p->python);
    p->python = NULL;
    if (is_named)
        fprintf(stderr, "tare: TARE_PYTHON is '%s', which cannot be executed\n", named);
}

void project_find(Project *p)
{
    char *self = realpath(own_program(), NULL);
    *p = (Project){.program = self ? self : xstrdup(own_program())};
    find_root(p);
    find_python(p);
    p->install = xasprintf("python3 -m venv %s/.venv && "
                           "%s/.venv/bin/pip install -r %s/bench/peers/requirements.txt",
                           p->local, p->local, p->root ? p->root : ".");
}

void project_release(Project *p)
{
    free(p->program);
    free(p->root);
    free(p->local);
    free(p->python);
    free(p->install);
    *p = (Project){0};
}

void say_how_to_install(const char *install, Err *err)
{
    const Err why = *err;
    if (strstr(why.msg, "No module named"))
        err_set(err, "%s; to install it: %s", why.msg, install);
}

/* ---- models ---- */

static int run_maker(const char *name, const char *cache, const Project *p, Err *err)
{
    Child child;
    OWNED char *script = xasprintf("%s/bench/peers/make_models.py", p->root);
    char *argv[] = {p->python,    script,   (char *)cache, "--only",
                    (char *)name, "--tare", p->program,    NULL};
    fprintf(stderr, "tare: making model '%s' in %s, once\n", name, cache);
    if (child_run(&child, p->python, argv, MAKE_SECONDS, err) != 0)
        return -1;
    char reason[512];
    bool made = child.end == CHILD_EXITED && child.code == 0;
    child_reason(&child, reason, sizeof reason);
    child_release(&child);
    if (made)
        return 0;
    err_set(err, "model '%s' could not be made: %s", name, reason);
    say_how_to_install(p->install, err);
    return -1;
}

static int make_model(ModelFiles *f, const char *name, const Project *p, Err *err)
{
    OWNED char *cache = xasprintf("%s/.cache/models", p->local);
    f->dir = xasprintf("%s/%s", cache, name);
    OWNED char *weights = weights_find(f->dir);
    if (weights)
        return 0;
    return p->root && p->python
               ? run_maker(name, cache, p, err)
               : err_set(err, "model '%s' has to be made once, which needs Python: %s", name,
                         p->install);
}

/* By programs that everybody has, so that everybody can check it. */
static void hash_weights(ModelFiles *f)
{
    Child child;
    Err ignored;
    WeightFiles files = {0};
    OWNED char *weights = weights_find(f->dir);
    if (!weights || weight_files_list(&files, weights, &ignored) != 0)
        return;
    const char *const shell[] = {
        "sh", "-c", "for f; do test -r \"$f\" || exit 1; done; cat -- \"$@\" | sha256sum", "sh"};
    OWNED char **argv = xcalloc(COUNT_OF(shell) + files.count + 1, sizeof *argv);
    memcpy(argv, shell, sizeof shell);
    memcpy(argv + COUNT_OF(shell), files.at, files.count * sizeof *argv);
    if (child_run(&child, "/bin/sh", argv, HASH_SECONDS, &ignored) == 0) {
        const size_t digits = sizeof f->sha256 - 1;
        if (child.end == CHILD_EXITED && child.code == 0 && strlen(child.output) > digits)
            memcpy(f->sha256, child.output, digits);
        child_release(&child);
    }
    weight_files_release(&files);
}

int model_files_find(ModelFiles *f, const CompareModel *m, const Project *p, Err *err)
{
    *f = (ModelFiles){.dir = NULL};
    if (m->head_dim > 0) {
        size_t heads = m->num_heads ? (size_t)m->num_heads : 1, D = (size_t)m->head_dim;
        f->config =
            (ModelConfig){.d_model = heads * D, .num_layers = 1, .num_heads = heads, .head_dim = D};
        return 0;
    }
    if (m->dir)
        f->dir = xstrdup(m->dir);
    else if (make_model(f, m->make, p, err) != 0)
        return -1;
    if (model_config_load(f->dir, &f->config, err) != 0)
        return -1;
    hash_weights(f);
    return 0;
}

int model_files_open(ModelFiles *f, Checkpoint *ck, Err *err)
{
    if (checkpoint_open(ck, f->dir, err) != 0)
        return -1;
    if (checkpoint_check(ck, err) != 0) {
        checkpoint_release(ck);
        return -1;
    }
    f->config = ck->config;
    unused_print(ck->unused);
    return 0;
}

void model_files_release(ModelFiles *f)
{
    free(f->dir);
    *f = (ModelFiles){.dir = NULL};
}

int model_files_check(const ModelFiles *f, const CompareCell *cell, Err *err)
{
    const ModelConfig *c = &f->config;
    const Component *what = cell->component;
    bool gpt = what->kind == COMPONENT_GPT, layer = what->kind == COMPONENT_ATTENTION;
    if (layer != !f->dir)
        return err_set(err, "'%s' is for %s", what->name,
                       layer ? "a [[model]] of head_dim, one attention layer"
                             : "a model, not for an attention layer");
    if (layer)
        return 0;
    bool decoder = what->kind == COMPONENT_DECODER, tokenizer = what->kind == COMPONENT_TOKENIZER;
    if (tokenizer)
        return 0;
    if (decoder && decoder_check(c, err) != 0)
        return err_prefix(err, "%s cannot do '%s'", f->dir, what->name);
    if (!decoder && gpt != (c->family->causal))
        return err_set(err, "%s cannot do '%s', which is for %s", f->dir, what->name,
                       gpt ? "a decoder" : "an encoder");
    if (cell->seq_len + cell->n_gen > c->max_positions && cell->n_gen > 0)
        return err_set(err, "%s has %zu positions, seq_len = %zu and n_gen = %zu need more", f->dir,
                       c->max_positions, cell->seq_len, cell->n_gen);
    if (cell->seq_len > c->max_positions)
        return err_set(err, "%s has %zu positions, seq_len = %zu needs more", f->dir,
                       c->max_positions, cell->seq_len);
    return 0;
}
