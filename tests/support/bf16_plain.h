/* bf16_plain: a kernel of bf16 in plain C, obvious and slow, for the panels of any instruction set:
 * with it a test sees what is built on products of bf16 where the processor has none. */
#pragma once

#include "autograd/kernels/isa.h"

extern const LowKernel bf16_plain;
