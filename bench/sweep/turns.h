/* turns: in which order the processes of a sweep's rows run.
 *
 * The one idea: what happens to the host must happen to every row. There are as many rounds as the
 * row with the most processes has; a row with fewer takes part in rounds at even distances, so that
 * its processes, too, are spread over the whole time. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Process number `process`, from 1, of a row. */
typedef struct Turn {
    size_t row;
    int64_t process;
} Turn;

/* The turns of `rows` rows with processes[row] (0 = none) in all, of which the first done[row] have
 * run. Rows stand in their order within a round, or, unless seed is INT_MISSING, in an order drawn
 * from it, another in each round. Caller frees; *count are there. */
Turn *turns_of(const int64_t *processes, const int64_t *done, size_t rows, int64_t seed,
               size_t *count);
