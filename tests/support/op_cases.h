/* op_cases: every op beside a naive forward in double, and the cases it is tested on. What is
 * checked over them is tests/unit/autograd/test_ops.c's business.
 *
 * A new op NAME needs op_NAME_spec in tests/unit/autograd/ops/NAME.c: its leaves, how to record it,
 * its formula (that of ops.h, loop by loop), some cases. */
#pragma once

#include "autograd/ops.h"

/* An input of the op under test. `x` holds its values, of an i32 input too; a float one is a
 * parameter, so that its gradient can be asked for. */
typedef struct Leaf {
    bool present, integer;
    int ndim;
    size_t shape[MAX_DIMS], count;
    double *x;
} Leaf;

enum { MAX_LETTERS = 5 };

/* CASE_EXACT: there are whole numbers (OpSpec.exact) for which value and gradients are exact in
 * fp32. CASE_EXACT_VALUE: the value only. CASE_WHOLE_ONLY: tested with whole numbers alone, since
 * with others the gradient is zero but for rounding. The other flags belong to the op. */
enum { CASE_EXACT = 1, CASE_EXACT_VALUE = 2, CASE_WHOLE_ONLY = 4, CASE_FIRST_FLAG = 8 };

typedef struct OpCase {
    size_t dim[MAX_LETTERS]; /* in the order of OpSpec.letters */
    unsigned flags;
} OpCase;

typedef struct OpSpec OpSpec;

/* One case with its leaves filled. */
typedef struct OpSetup {
    const OpSpec *spec;
    const OpCase *at;
    bool exact;
    Leaf leaf[MAX_INPUTS]; /* leaf[i] is in[i] of the op */
} OpSetup;

struct OpSpec {
    const OpDef *def;
    const char *letters; /* what OpCase.dim are, for messages */
    bool single_reader;  /* refuses to add to an input's gradient */
    void (*leaves)(OpSetup *s);
    /* Optional: turns the small whole numbers of all leaves into ones that make the result
     * exact. */
    void (*exact)(OpSetup *s);
    Tensor *(*record)(const OpSetup *s, Graph *g, Tensor *const *in);
    /* y of these leaf values; x[i] differs from s->leaf[i].x by what the check perturbs. */
    void (*forward)(const OpSetup *s, double *const *x, double *y);
    /* Largest errors ever seen on any instruction set: of the value over its largest element, of a
     * directional derivative over the norm of the gradient. */
    double value_error, gradient_error;
    const OpCase *cases;
    size_t num_cases;
};

#define OP(name) extern const OpSpec op_##name##_spec;
#include "autograd/ops.def"
#undef OP

/* Those of ops.def. */
extern const OpSpec *const op_specs[];
extern const size_t num_op_specs;

/* ---- for OpSpec.leaves: fill leaf i ---- */

void leaf_matrix(OpSetup *s, int i, size_t rows, size_t cols);
void leaf_vector(OpSetup *s, int i, size_t n);
void leaf_integers(OpSetup *s, int i, size_t rows, size_t cols, int low, int high);

/* Where B sequences of up to `longest` rows begin; of B * longest rows the last may be fillers. */
void leaf_starts(OpSetup *s, int i, size_t B, size_t longest);

/* The rows of sequence b, of T rows each where `starts` is NULL. */
Range rows_of_sequence(const double *starts, size_t T, size_t b);

/* ---- for tests ---- */

/* Fills the leaves with numbers from [-1, 1], or for `exact` with whole ones; the same every
 * time. */
void op_setup_init(OpSetup *s, const OpSpec *spec, const OpCase *at, bool exact);
void op_setup_release(OpSetup *s);
