/* ops: the table of all ops, from ops.def. */
#include "autograd/ops.h"

const OpDef *const all_ops[] = {
#define OP(name) &op_##name##_def,
#include "autograd/ops.def"
#undef OP
};
const size_t num_ops = COUNT_OF(all_ops);
