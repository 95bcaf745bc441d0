/* plan_print: a plan as text, to be read and compared: each step with shape, FLOPs, and the life
 * and place of every buffer that begins there. */
#ifndef TARE_TESTS_SUPPORT_PLAN_PRINT_H
#define TARE_TESTS_SUPPORT_PLAN_PRINT_H

#include "autograd/plan.h"

#include <stdio.h>

void plan_print(const Plan *p, FILE *out);

#endif
