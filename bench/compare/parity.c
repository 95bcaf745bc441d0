/* parity: see parity.h. */
#include "bench/compare/parity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/files/safetensors.h"

const double parity_tolerance = 1e-5;

static int fail(Parity *p, const char *name, const char *what)
{
    p->ok = false;
    snprintf(p->reason, sizeof p->reason, "%.63s %s", name, what);
    return 0;
}

static bool same_shape(const STensor *a, const STensor *b)
{
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, a->ndim * sizeof *a->shape) == 0;
}

static void compare_ids(const STensor *a, const STensor *b, Parity *p)
{
    for (size_t i = 0; i < stensor_count(a); i++) {
        int32_t x, y;
        memcpy(&x, (const char *)a->data + i * sizeof x, sizeof x);
        memcpy(&y, (const char *)b->data + i * sizeof y, sizeof y);
        double difference = fabs((double)x - (double)y);
        if (difference > p->max_abs)
            p->max_abs = difference;
        if (difference != 0)
            fail(p, a->name, "differs");
    }
}

static bool is_format_bound(double tolerance)
{
    return tolerance > parity_tolerance;
}

static bool is_gradient(const STensor *a)
{
    return strncmp(a->name, "grad.", strlen("grad.")) == 0;
}

/* The largest over sequences, which are the indices of the first dimension of several. */
static double largest_rms(const STensor *a, const float *x, const float *y)
{
    size_t sequences = a->ndim > 1 && !is_gradient(a) ? a->shape[0] : 1,
           n = stensor_count(a) / sequences;
    double most = 0;
    for (size_t s = 0; s < sequences; s++) {
        double errors = 0, squares = 0;
        for (size_t i = s * n; i < (s + 1) * n; i++) {
            double error = (double)x[i] - (double)y[i];
            errors += error * error;
            squares += (double)y[i] * (double)y[i];
        }
        most = fmax(most, errors > 0 ? sqrt(errors / squares) : 0);
    }
    return most;
}

static void compare_reals(const STensor *a, const float *x, const float *y, Parity *p)
{
    bool finite = true, by_rms = is_format_bound(p->tolerance);
    double difference = 0, largest = 0, rms = largest_rms(a, x, y), bound = p->tolerance;
    for (size_t i = 0; i < stensor_count(a); i++) {
        finite &= isfinite(x[i]) && isfinite(y[i]);
        difference = fmax(difference, fabs((double)x[i] - (double)y[i]));
        largest = fmax(largest, fabs((double)y[i]));
    }
    double relative = difference > 0 ? difference / largest : 0;
    p->max_abs = fmax(p->max_abs, difference);
    p->max_rms = fmax(p->max_rms, rms);
    if (relative >= p->max_rel) {
        p->max_rel = relative;
        snprintf(p->worst, sizeof p->worst, "%.63s", a->name);
    }
    if (by_rms && a->ndim == 0)
        bound /= PARITY_RMS_OVER_LOSS;
    double most = by_rms ? bound * PARITY_MOST_OVER_RMS : bound;
    if (!finite)
        fail(p, a->name, "holds a number that is not finite");
    else if (!(relative <= most) || (by_rms && !(rms <= bound)))
        fail(p, a->name, "differs by more than the bound");
}

/* Ids without logits of their own: each must be nearly the likeliest by the logits beside ours. The
 * likelier one and this may each be off by the bound, of the largest logit: less than the few that
 * are farthest off may be where logits are shown. */
static int compare_likely(const STensor *logits, const STensor *ids, Parity *p, Err *err)
{
    if (!same_shape(logits, &(STensor){.ndim = 2, .shape = {ids->shape[0], logits->shape[1]}}) ||
        stensor_count(ids) != logits->shape[0] || ids->dtype != ST_I32)
        return fail(p, ids->name, "has another shape");
    p->nearly = true;
    size_t V = logits->shape[1];
    OWNED float *x = xmalloc((stensor_count(logits) + 1) * sizeof *x);
    if (safetensors_to_f32(logits, x, err) != 0)
        return -1;
    double largest = 0;
    for (size_t i = 0; i < stensor_count(logits); i++)
        largest = fmax(largest, fabs((double)x[i]));
    for (size_t b = 0; b < logits->shape[0]; b++) {
        int32_t id;
        memcpy(&id, (const char *)ids->data + b * sizeof id, sizeof id);
        double top = -INFINITY;
        for (size_t v = 0; v < V; v++)
            top = fmax(top, (double)x[b * V + v]);
        if (id < 0 || (size_t)id >= V ||
            !(top - (double)x[b * V + (size_t)id] <= 2 * p->tolerance * largest))
            fail(p, ids->name, "is not nearly the likeliest");
    }
    return 0;
}

static int compare_tensor(const STensor *a, const STensor *b, Parity *p, Err *err)
{
    if (!b)
        return fail(p, a->name, "is missing");
    if (!same_shape(a, b))
        return fail(p, a->name, "has another shape");
    if ((a->dtype == ST_I32) != (b->dtype == ST_I32))
        return fail(p, a->name, "has another type");
    if (a->dtype == ST_I32) {
        compare_ids(a, b, p);
        return 0;
    }
    size_t bytes = (stensor_count(a) + 1) * sizeof(float);
    OWNED float *x = xmalloc(bytes), *y = xmalloc(bytes);
    if (safetensors_to_f32(a, x, err) != 0 || safetensors_to_f32(b, y, err) != 0)
        return -1;
    compare_reals(a, x, y, p);
    return 0;
}

static bool has_logits(const SafeTensors *s)
{
    return safetensors_find(s, "logits") != NULL;
}

int parity_compare(const char *ours, const char *theirs, double tolerance, Parity *p, Err *err)
{
    *p = (Parity){.ok = true, .tolerance = tolerance};
    SafeTensors *a = safetensors_open(ours, err);
    SafeTensors *b = a ? safetensors_open(theirs, err) : NULL;
    int status = b ? 0 : -1;
    size_t hidden = 0;
    for (size_t i = 0; b && i < safetensors_count(a) && status == 0; i++) {
        const STensor *t = safetensors_at(a, i), *other = safetensors_find(b, t->name);
        /* Of logits that may differ another may be the likeliest: nearly so on both sides. */
        if (is_format_bound(tolerance) && strcmp(t->name, "ids") == 0 && has_logits(a)) {
            if (!has_logits(b) && other)
                status = compare_likely(safetensors_find(a, "logits"), other, p, err);
            continue;
        }
        if (!other && strcmp(t->name, "logits") == 0 && safetensors_find(a, "ids"))
            hidden++;
        else
            status = compare_tensor(t, other, p, err);
    }
    if (status == 0 && safetensors_count(a) != safetensors_count(b) + hidden)
        fail(p, "the set of tensors", "is another");
    safetensors_free(a);
    safetensors_free(b);
    return status;
}
