/* test_clip: the norm of all gradients and the factor that clips it. */
#include "autograd/optim/clip.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static float *values(size_t n)
{
    float *g = xmalloc(n * sizeof *g);
    for (size_t i = 0; i < n; i++)
        g[i] = (float)(rng_uniform(1, 2, i) - 0.5);
    return g;
}

Test(clip, the_norm_of_whole_numbers_is_exact)
{
    const float g[] = {3, 0, -4, 12};
    cr_expect_eq(gradient_norm(g, 4, 1), 13);
    cr_expect_eq(gradient_norm(g, 0, 1), 0);
}

Test(clip, the_norm_does_not_depend_on_the_threads)
{
    size_t n = 3 * (1 << 16) + 17; /* several slices, the last one short */
    float *g = values(n);
    double one = gradient_norm(g, n, 1), naive = 0;
    for (size_t i = 0; i < n; i++)
        naive += (double)g[i] * (double)g[i];
    cr_expect_eq(gradient_norm(g, n, 2), one);
    cr_expect_eq(gradient_norm(g, n, 3), one);
    cr_expect_lt(fabs(one / sqrt(naive) - 1), 1e-13); /* observed: 3e-15 */
    free(g);
}

Test(clip, what_is_not_a_number_shows)
{
    const float nan_inside[] = {1, NAN, 2}, infinite[] = {1, INFINITY};
    cr_expect(isnan(gradient_norm(nan_inside, 3, 1)));
    cr_expect(isinf(gradient_norm(infinite, 2, 1)));
}

Test(clip, only_a_longer_gradient_is_scaled)
{
    cr_expect_eq(clip_factor(0.5, 1), 1);
    cr_expect_eq(clip_factor(0, 1), 1);
    cr_expect_eq(clip_factor(4, 1), 1 / (4 + 1e-6));
    cr_expect_eq(clip_factor(1e9, 0), 1, "0 is no limit");
}
