/* tensor: see tensor.h. */
#include "autograd/tensor.h"

size_t tensor_count(const Tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->shape[i];
    return n;
}

size_t tensor_bytes(const Tensor *t)
{
    return dtype_bytes(t->dtype, tensor_count(t));
}

size_t tensor_channels(const Tensor *t)
{
    return t->shape[t->ndim - 1];
}

size_t tensor_rows(const Tensor *t)
{
    return tensor_count(t) / tensor_channels(t);
}
