/* turns: see turns.h. */
#include "bench/compare/turns.h"

#include <math.h>

size_t turn_of(uint64_t seed, uint64_t stream, size_t round, size_t turn, size_t n)
{
    size_t first = (size_t)(rng_uniform(seed, stream, 2 * round) * (double)n);
    bool backwards = rng_uniform(seed, stream, 2 * round + 1) < 0.5;
    return (backwards ? first + n - turn : first + turn) % n;
}

int64_t turn_calls(double call_ns, double turn_ns)
{
    return (int64_t)fmax(1, ceil(turn_ns / fmax(1, call_ns)));
}
