/* partition: see partition.h. */
#include "autograd/kernels/gemm/partition.h"

double gemm_estimate_us(const Gemm *g, double gflops, double b_size)
{
    double flops = 2.0 * (double)g->m * (double)g->n * (double)g->k;
    double bytes = b_size * (double)(g->k * g->n) + 4.0 * (double)g->m * (double)(g->k + g->n);
    double compute = flops / (gflops * 1e3), memory = bytes / 8e3;
    return compute > memory ? compute : memory;
}

int gemm_useful_threads(double us, int threads)
{
    const double least_us_per_thread = 12;
    int useful = us < 2 * least_us_per_thread ? 1 : (int)(us / least_us_per_thread);
    return useful < threads ? useful : threads;
}

int gemm_packing_threads(size_t k, size_t n, int threads)
{
    return gemm_useful_threads((double)(k * n) * 8 / 8e3, threads);
}

/* Packing a panel counts as much as multiplying two strips by it, packing a strip beside it as much
 * as multiplying it by one panel. */
Grid gemm_divide(const Gemm *g, const Tile *tile, size_t threads)
{
    size_t strips = (g->m + tile->rows - 1) / tile->rows, panels = panel_count(tile, g->n);
    Grid best = {1, 1};
    size_t best_cost = SIZE_MAX;
    for (size_t columns = 1; columns <= threads; columns++) {
        size_t rows = threads / columns;
        size_t wide = (panels + columns - 1) / columns, high = (strips + rows - 1) / rows;
        size_t cost = g->packed ? wide * high : wide * (high + 2) + high;
        if (cost <= best_cost) {
            best = (Grid){rows, columns};
            best_cost = cost;
        }
    }
    return best;
}
