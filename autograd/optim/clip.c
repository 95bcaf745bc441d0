/* clip: see clip.h. */
#include "autograd/optim/clip.h"

#include <math.h>
#include <stdlib.h>

static double sum_of_squares(const float *g, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++)
        sum += (double)g[i] * (double)g[i];
    return sum;
}

double gradient_norm(const float *g, size_t n, int threads)
{
    const size_t slice = 1 << 16;
    size_t slices = (n + slice - 1) / slice;
    double *part = xcalloc(slices + 1, sizeof *part), sum = 0;
#pragma omp parallel for schedule(static) num_threads(threads) if (slices > 1)
    for (size_t i = 0; i < slices; i++)
        part[i] = sum_of_squares(g + i * slice, n - i * slice < slice ? n - i * slice : slice);
    for (size_t i = 0; i < slices; i++)
        sum += part[i];
    free(part);
    return sqrt(sum);
}

double clip_factor(double norm, double max_norm)
{
    double factor = max_norm / (norm + 1e-6);
    return max_norm == 0 || factor > 1 ? 1 : factor;
}
