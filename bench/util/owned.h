/* owned: OWNED (autograd/base.h) for what is more than memory.
 *
 * OWNED_BY(csv_release) CsvTable t = {0}: released at the end of its scope, whichever way that is
 * left, by a function that takes its address. */
#pragma once

#define OWNED_BY(release) __attribute__((cleanup(release)))
