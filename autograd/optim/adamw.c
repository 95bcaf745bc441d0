/* adamw: see adamw.h. */
#include "autograd/optim/adamw.h"

#include <math.h>

#include "autograd/kernels/kernels.h"

AdamW adamw_defaults(void)
{
    return (AdamW){.learning_rate = 1e-3f,
                   .beta1 = 0.9f,
                   .beta2 = 0.999f,
                   .epsilon = 1e-8f,
                   .weight_decay = 0.01f};
}

void adamw_update(const AdamW *o, uint64_t step, float *w, const float *g, float *m, float *v,
                  size_t n, bool decay, float grad_scale, int threads)
{
    const Kernels *k = kernels();
    float c1 = (float)(1 / (1 - pow(o->beta1, (double)step)));
    float c2 = (float)(1 / (1 - pow(o->beta2, (double)step)));
    const size_t slice = 1 << 16; /* four arrays of it stay in the second-level cache */
#pragma omp parallel for schedule(static) num_threads(threads) if (n > slice)
    for (size_t i = 0; i < n; i += slice)
        k->adamw(w + i, g + i, m + i, v + i, n - i < slice ? n - i : slice, o->learning_rate,
                 o->beta1, o->beta2, o->epsilon, decay ? o->weight_decay : 0, c1, c2, grad_scale);
}
