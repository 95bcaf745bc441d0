/* output: standard output of a verb that writes as it goes, into a pipe whose reader may leave, as
 * `head` does. That is no error: nothing is said and the exit code is 0. */
#pragma once

#include "autograd/base.h"

/* Call it before the first write: a write into such a pipe then fails instead of ending us. */
void output_stream(void);

/* Flushes standard output. -1: it failed, or the reader left, which output_reader_left tells. */
int output_flush(Err *err);

/* Whether a flush found that nobody reads any more. */
bool output_reader_left(void);
