/* checkpoint_names: see checkpoint_names.h. */
#include "model/files/checkpoint_names.h"

#include <stdlib.h>
#include <string.h>

#include "model/families/family.h"

/* Whether the tensor is of a head, whose names never carry the model's prefix. */
static bool name_is_head(const Family *f, const char *name)
{
    for (const char *const *layer = f->heads; *layer; layer++)
        if (starts_with(name, *layer))
            return true;
    return false;
}

bool name_belongs_to_head(const Family *f, const char *name)
{
    return name_is_head(f, name) || (f->pooler && strstr(name, f->pooler));
}

size_t name_parts(const char *name)
{
    size_t parts = 1;
    for (const char *c = strchr(name, '{'); c && *c != '}'; c++)
        parts += *c == ',';
    return parts;
}

char *name_of_part(const Family *f, bool prefixed, const char *name, size_t i)
{
    const char *prefix = prefixed && !name_is_head(f, name) ? f->prefix : "";
    const char *open = strchr(name, '{');
    if (!open)
        return xasprintf("%s%s", prefix, name);
    const char *choice = open + 1;
    for (; i > 0; i--)
        choice = strchr(choice, ',') + 1;
    return xasprintf("%s%.*s%.*s%s", prefix, (int)(open - name), name, (int)strcspn(choice, ",}"),
                     choice, strchr(open, '}') + 1);
}

/* Finds a tensor by its name or by its historic one, LayerNorm.gamma and LayerNorm.beta. */
static const STensor *find_old_too(const SafeTensors *file, const char *name)
{
    static const char norm[] = "LayerNorm.";
    const STensor *t = safetensors_find(file, name);
    const char *end = t ? NULL : strstr(name, norm);
    if (!end)
        return t;
    end += strlen(norm);
    char *old =
        xasprintf("%.*s%s", (int)(end - name), name, strcmp(end, "weight") == 0 ? "gamma" : "beta");
    t = safetensors_find(file, old);
    free(old);
    return t;
}

const STensor *find_part(const Checkpoint *ck, const char *param, size_t i)
{
    const Family *f = ck->config.family;
    char *bare = name_of_part(f, false, param, i), *with = xasprintf("%s%s", f->prefix, bare);
    bool with_first = ck->prefixed && !name_is_head(f, bare);
    const STensor *t = find_old_too(ck->file, with_first ? with : bare);
    if (!t)
        t = find_old_too(ck->file, with_first ? bare : with);
    free(bare);
    free(with);
    return t;
}

const STensor *find_scale(const Checkpoint *ck, const STensor *t)
{
    if (!t || t->dtype != ST_I8)
        return NULL;
    char *name = xasprintf("%s%s", t->name, SCALE_SUFFIX);
    const STensor *scale = safetensors_find(ck->file, name);
    free(name);
    return scale;
}
