/* tensor: see tensor.h. */
#include "tensor.h"

size_t dtype_size(DType type)
{
    static const size_t size[] = {
        [DT_F32] = 4, [DT_BF16] = 2, [DT_F16] = 2, [DT_I8] = 1, [DT_I32] = 4};
    return size[type];
}

size_t tensor_count(const Tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->shape[i];
    return n;
}

size_t tensor_bytes(const Tensor *t)
{
    return tensor_count(t) * dtype_size(t->dtype);
}

size_t tensor_channels(const Tensor *t)
{
    return t->shape[t->ndim - 1];
}

size_t tensor_rows(const Tensor *t)
{
    return tensor_count(t) / tensor_channels(t);
}
