/* plan_print: a plan as text, to be read and compared: each step with shape, FLOPs, and the life
 * and place of every buffer that begins there. */
#pragma once

#include "autograd/plan.h"

#include <stdio.h>

void plan_print(const Plan *p, FILE *out);
