/* test_sampling: which tokens can be drawn, how often each is, and that a draw can be repeated. */
#include "bench/text/sampling.h"

#include <criterion/criterion.h>
#include <math.h>

enum { V = 6 };
static const float logits[V] = {1, 3, 2, 3, -INFINITY, 0};

static int32_t draw(Sampling s, uint64_t step)
{
    Candidate list[V];
    return sample_token(&s, logits, V, step, list);
}

/* Share of each token among many draws, and its probability by the definition: softmax at the
 * temperature over the tokens that `may` be drawn. */
static void expect_shares(Sampling s, const bool *may)
{
    enum { DRAWS = 20000 };
    size_t seen[V] = {0};
    double p[V], sum = 0;
    for (size_t i = 0; i < V; i++)
        sum += p[i] = may[i] ? exp((double)logits[i] / s.temperature) : 0;
    for (uint64_t i = 0; i < DRAWS; i++)
        seen[draw(s, i)]++;
    for (size_t i = 0; i < V; i++) {
        double share = (double)seen[i] / DRAWS;
        /* 5 standard deviations of a share */
        double bound = 5 * sqrt(p[i] / sum * (1 - p[i] / sum) / DRAWS);
        cr_expect(fabs(share - p[i] / sum) <= bound, "token %zu: share %.4f, probability %.4f", i,
                  share, p[i] / sum);
    }
}

Test(sampling, without_a_temperature_the_first_of_the_likeliest)
{
    cr_expect_eq(draw((Sampling){.top_k = 3, .top_p = 0.5, .seed = 9}, 0), 1);
}

Test(sampling, a_temperature_draws_by_the_softmax)
{
    expect_shares((Sampling){.temperature = 1}, (bool[]){1, 1, 1, 1, 1, 1});
    expect_shares((Sampling){.temperature = 2.5, .top_p = 1}, (bool[]){1, 1, 1, 1, 1, 1});
}

/* As in transformers, equals of the k-th stay. */
Test(sampling, top_k_keeps_the_likeliest)
{
    expect_shares((Sampling){.temperature = 1, .top_k = 1}, (bool[]){0, 1, 0, 1, 0, 0});
    expect_shares((Sampling){.temperature = 1.5, .top_k = 3}, (bool[]){0, 1, 1, 1, 0, 0});
    expect_shares((Sampling){.temperature = 1, .top_k = 50}, (bool[]){1, 1, 1, 1, 1, 1});
}

/* Probabilities are 0.053, 0.39, 0.14, 0.39, 0, 0.019. */
Test(sampling, top_p_keeps_the_fewest_that_make_it_up)
{
    expect_shares((Sampling){.temperature = 1, .top_p = 0.3}, (bool[]){0, 1, 0, 0, 0, 0});
    expect_shares((Sampling){.temperature = 1, .top_p = 0.7}, (bool[]){0, 1, 0, 1, 0, 0});
    expect_shares((Sampling){.temperature = 1, .top_p = 0.8}, (bool[]){0, 1, 1, 1, 0, 0});
    /* of the top 2, each is a half */
    expect_shares((Sampling){.temperature = 1, .top_k = 2, .top_p = 0.4},
                  (bool[]){0, 1, 0, 0, 0, 0});
}

Test(sampling, a_draw_is_that_of_its_seed_and_step)
{
    size_t same = 0, other_seed = 0;
    for (uint64_t i = 0; i < 200; i++) {
        int32_t once = draw((Sampling){.temperature = 1, .seed = 4}, i);
        same += once == draw((Sampling){.temperature = 1, .seed = 4}, i);
        other_seed += once == draw((Sampling){.temperature = 1, .seed = 5}, i);
    }
    cr_expect_eq(same, 200);
    cr_expect_lt(other_seed, 150);
}

Test(sampling, numbers_that_are_not_finite_have_no_token)
{
    Candidate list[V];
    const Sampling s = {.temperature = 1};
    cr_expect_eq(sample_token(&s, (float[]){0, NAN, 1}, 3, 0, list), -1);
    cr_expect_eq(sample_token(&s, (float[]){0, INFINITY, 1}, 3, 0, list), -1);
    cr_expect_eq(sample_token(&s, (float[]){-INFINITY, -INFINITY}, 2, 0, list), -1);
}
