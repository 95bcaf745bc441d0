/* warn: what makes every time wrong here, for a verb that has no rows to say it. */
#pragma once

#include <stdint.h>

/* Warns on stderr where fewer than `threads` threads can run at once, and where the BLAS that
 * multiplies has kernels far below the processor. */
void machine_warn(int64_t threads);
