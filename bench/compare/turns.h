/* turns: in which order implementations that are compared take their turns, and how long a turn is.
 *
 * A round gives each one turn, in a cyclic order whose start and direction are drawn anew from the seed. A
 * turn is one sample: the mean of as many calls as fill TURN_NS, at least one; where a call is shorter
 * than UNTIMED_CALL_NS an untimed one goes first, for the others have had the caches meanwhile. */
#ifndef TARE_BENCH_COMPARE_TURNS_H
#define TARE_BENCH_COMPARE_TURNS_H

#include "autograd/base.h"

enum { TURN_NS = 5000000, UNTIMED_CALL_NS = 100000000 };

/* Who has turn number `turn` of `round`, among n. `stream` sets comparisons of one seed apart. */
size_t turn_of(uint64_t seed, uint64_t stream, size_t round, size_t turn, size_t n);

/* Calls of call_ns each in a turn of at least turn_ns. */
int64_t turn_calls(double call_ns, double turn_ns);

#endif
