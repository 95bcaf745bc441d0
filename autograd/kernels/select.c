/* select: chooses the instruction set. simd/table.c fills the tables. */
#include "autograd/kernels/cpu.h"
#include "autograd/kernels/isa.h"

#include <stdlib.h>
#include <string.h>

extern const Isa isa_generic;
#ifdef TARE_HAVE_X86
extern const Isa isa_avx2, isa_avx512;
#endif

/* Best first; the last one runs everywhere. */
static const Isa *const tables[] = {
#ifdef TARE_HAVE_X86
    &isa_avx512,
    &isa_avx2,
#endif
    &isa_generic,
};

static const Isa *in_use;

static bool runs_here(const Isa *isa)
{
    const CpuFeatures *cpu = cpu_features();
    if (strcmp(isa->rows.isa, "avx512") == 0)
        return cpu->avx512;
    if (strcmp(isa->rows.isa, "avx2") == 0)
        return cpu->avx2_fma;
    return true;
}

static const Isa *find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        if (strcmp(tables[i]->rows.isa, name) == 0)
            return tables[i];
    return NULL;
}

const Isa *isa_best(void)
{
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        if (runs_here(tables[i]))
            return tables[i];
    return &isa_generic;
}

static int lacks(const Isa *isa, Err *err)
{
    char features[256];
    cpu_features_text(features, sizeof features);
    return err_set(err, "this CPU (%s) lacks instruction set '%s'; its features: %s",
                   cpu_features()->name, isa->rows.isa, *features ? features : "none of x86-64");
}

int kernels_select(const char *isa_or_null, Err *err)
{
    const char *name = isa_or_null ? isa_or_null : getenv("TARE_ISA"), *hidden = getenv("TARE_CPU");
    if (cpu_hide(hidden ? hidden : "", err) != 0)
        return -1;
    if (!name || !*name) {
        in_use = isa_best();
        return 0;
    }
    if (strcmp(name, "generic") != 0 && strcmp(name, "avx2") != 0 && strcmp(name, "avx512") != 0)
        return err_set(err, "unknown instruction set '%s': generic, avx2 and avx512 exist", name);
    const Isa *isa = find(name);
    if (!isa)
        return err_set(err, "instruction set '%s' is not in this build", name);
    if (!runs_here(isa))
        return lacks(isa, err);
    in_use = isa;
    return 0;
}

const Isa *isa_in_use(void)
{
    if (!in_use)
        in_use = isa_best();
    return in_use;
}

const Kernels *kernels(void)
{
    return &isa_in_use()->rows;
}

const Kernels *kernels_for(const char *isa)
{
    const Isa *found = find(isa);
    return found && runs_here(found) ? &found->rows : NULL;
}
