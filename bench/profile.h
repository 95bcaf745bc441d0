/* profile: where the time of a row's runs goes, op by op.
 *
 * The one idea: exec calls us after each step, we add up by op and pass. Stamping every step costs
 * something, so profiled runs are extra ones and their time is in no other figure. */
#ifndef TARE_PROFILE_H
#define TARE_PROFILE_H

#include <stdio.h>

#include "../autograd/exec.h"
#include "samples.h"

typedef struct ProfileLine {
    const char *op, *pass;
    int64_t steps;
    double ns, flops; /* FLOPs of matrix products, repeated ones included */
    double bytes;     /* of the tensors the steps read and write, each counted once a step */
} ProfileLine;

typedef struct Profile {
    ProfileLine *lines;
    size_t count;
    int64_t runs;
    double wall_ns, optimizer_ns; /* of whole runs */
} Profile;

void profile_init(Profile *p);
void profile_release(Profile *p);

/* A StepHook; ctx is the Profile. */
void profile_step(void *ctx, const Step *step, uint64_t ns);

/* After each profiled run. */
void profile_run(Profile *p, const Sample *s);

/* A table, the most expensive first; figures are per run. */
void profile_print(const Profile *p, FILE *out);

#endif
