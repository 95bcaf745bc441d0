/* turns: see turns.h. */
#include "bench/sweep/turns.h"

#include "autograd/kernels/kernels.h"
#include "bench/util/fields.h"

/* Fisher & Yates. */
static void shuffle(Turn *turns, size_t count, uint64_t seed, uint64_t round)
{
    for (size_t i = count; i > 1; i--) {
        size_t k = (size_t)(rng_uniform(seed, round, i) * (double)i);
        Turn swapped = turns[k];
        turns[k] = turns[i - 1];
        turns[i - 1] = swapped;
    }
}

Turn *turns_of(const int64_t *processes, const int64_t *done, size_t rows, int64_t seed,
               size_t *count)
{
    int64_t rounds = 0;
    size_t total = 0;
    for (size_t i = 0; i < rows; i++) {
        rounds = processes[i] > rounds ? processes[i] : rounds;
        total += (size_t)processes[i];
    }
    Turn *turns = xcalloc(total + 1, sizeof *turns);
    *count = 0;
    for (int64_t round = 0; round < rounds; round++) {
        size_t first = *count;
        for (size_t i = 0; i < rows; i++) {
            int64_t before = round * processes[i] / rounds;
            bool takes_part = (round + 1) * processes[i] / rounds > before;
            if (takes_part && before >= done[i])
                turns[(*count)++] = (Turn){i, before + 1};
        }
        if (seed != INT_MISSING)
            shuffle(turns + first, *count - first, (uint64_t)seed, (uint64_t)round);
    }
    return turns;
}
