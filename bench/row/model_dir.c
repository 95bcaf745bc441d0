/* model_dir: see model_dir.h. */
#include "bench/row/model_dir.h"

#include <stdlib.h>
#include <string.h>

#include "model/decoder.h"
#include "model/files/checkpoint.h"

/* ---- what the files say ---- */

typedef struct KnownDir {
    char *dir;
    ModelConfig config;
} KnownDir;

static int read_config(const char *dir, ModelConfig *m, Err *err)
{
    Checkpoint ck;
    if (checkpoint_open(&ck, dir, err) != 0)
        return -1;
    *m = ck.config;
    int status =
        decoder_check(m, err) == 0 ? checkpoint_check(&ck, err) : err_prefix(err, "'%s'", dir);
    if (status == 0)
        unused_print(ck.unused);
    checkpoint_release(&ck);
    return status;
}

int model_dir_config(const char *dir, ModelConfig *m, Err *err)
{
    static KnownDir *known;
    static size_t count;
    for (size_t i = 0; i < count; i++)
        if (strcmp(known[i].dir, dir) == 0) {
            *m = known[i].config;
            return 0;
        }
    if (read_config(dir, m, err) != 0)
        return -1;
    known = xgrow(known, count, sizeof *known);
    known[count++] = (KnownDir){xstrdup(dir), *m};
    return 0;
}

void model_dir_name(const char *dir, FieldTEXT name)
{
    enum { LONGEST = 63 }; /* as of a [[model]] */
    char *path = realpath(dir, NULL);
    const char *from = path ? path : dir, *slash = strrchr(from, '/');
    from = slash && slash[1] ? slash + 1 : from;
    size_t len = strlen(from);
    if (len > 5 && strcmp(from + len - 5, ".gguf") == 0)
        len -= 5;
    len = len < LONGEST ? len : LONGEST;
    for (size_t i = 0; i < len; i++)
        name[i] =
            (unsigned char)from[i] < 0x20 || from[i] == 0x7f || from[i] == '/' ? '_' : from[i];
    name[len] = '\0';
    free(path);
}

/* ---- weights ---- */

int row_weights_fill(const RowConfig *c, Params *p, Err *err)
{
    Checkpoint ck;
    if (!c->model_dir[0]) {
        params_randomize(p, (uint64_t)c->seed, (int)c->threads);
        return 0;
    }
    if (checkpoint_open(&ck, c->model_dir, err) != 0)
        return -1;
    int status = checkpoint_load(&ck, p, err);
    checkpoint_release(&ck);
    return status;
}
