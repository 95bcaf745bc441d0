/* op_cases: see op_cases.h. */
#include "tests/support/op_cases.h"

#include <math.h>
#include <stdlib.h>

const OpSpec *const op_specs[] = {
#define OP(name) &op_##name##_spec,
#include "autograd/ops.def"
#undef OP
};
const size_t num_op_specs = COUNT_OF(op_specs);

/* ---- leaves ---- */

static double random_number(const OpSetup *s, int leaf, size_t i)
{
    return rng_uniform((uint64_t)(s->at - s->spec->cases), (uint64_t)leaf, i);
}

static double random_whole(const OpSetup *s, int leaf, size_t i, int low, int high)
{
    return low + floor(random_number(s, leaf, i) * (high - low + 1));
}

static void leaf_new(OpSetup *s, int i, int ndim, const size_t *shape)
{
    Leaf *leaf = &s->leaf[i];
    *leaf = (Leaf){.present = true, .ndim = ndim, .count = 1};
    for (int d = 0; d < ndim; d++)
        leaf->count *= leaf->shape[d] = shape[d];
    leaf->x = xmalloc(leaf->count * sizeof *leaf->x);
}

static void leaf_floats(OpSetup *s, int i, int ndim, const size_t *shape)
{
    leaf_new(s, i, ndim, shape);
    for (size_t k = 0; k < s->leaf[i].count; k++)
        s->leaf[i].x[k] =
            s->exact ? random_whole(s, i, k, -3, 3) : (float)(2 * random_number(s, i, k) - 1);
}

void leaf_matrix(OpSetup *s, int i, size_t rows, size_t cols)
{
    leaf_floats(s, i, 2, (size_t[]){rows, cols});
}

void leaf_vector(OpSetup *s, int i, size_t n)
{
    leaf_floats(s, i, 1, &n);
}

void leaf_integers(OpSetup *s, int i, size_t rows, size_t cols, int low, int high)
{
    leaf_new(s, i, 2, (size_t[]){rows, cols});
    s->leaf[i].integer = true;
    for (size_t k = 0; k < s->leaf[i].count; k++)
        s->leaf[i].x[k] = random_whole(s, i, k, low, high);
}

void leaf_starts(OpSetup *s, int i, size_t B, size_t longest)
{
    leaf_new(s, i, 1, (size_t[]){B + 1});
    s->leaf[i].integer = true;
    double at = s->leaf[i].x[0] = 0;
    for (size_t b = 0; b < B; b++) {
        s->leaf[i].x[b + 1] = at += random_whole(s, i, b, 0, (int)longest);
    }
}

Range rows_of_sequence(const double *starts, size_t T, size_t b)
{
    return starts ? (Range){(size_t)starts[b], (size_t)starts[b + 1]} : (Range){b * T, (b + 1) * T};
}

void op_setup_init(OpSetup *s, const OpSpec *spec, const OpCase *at, bool exact)
{
    *s = (OpSetup){.spec = spec, .at = at, .exact = exact};
    spec->leaves(s);
    if (exact && spec->exact)
        spec->exact(s);
}

void op_setup_release(OpSetup *s)
{
    for (int i = 0; i < MAX_INPUTS; i++)
        free(s->leaf[i].x);
}
