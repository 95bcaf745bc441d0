/* threads_option: see threads_option.h. */
#include "threads_option.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "row.h"

int64_t threads_for(const Context *c)
{
    double cpus = c->cpus_allowed == INT_MISSING ? 1 : (double)c->cpus_allowed;
    return (int64_t)fmax(1, fmin(cpus, ceil(c->cpu_quota))); /* fmin passes over a NaN */
}

int64_t threads_default(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    const Field *f = row_field("threads");
    char *end = NULL;
    long long threads = text ? strtoll(text, &end, 10) : 0;
    bool is_number = end && end != text && strchr(" ,", *end); /* also at the end; "4,2" nests */
    if (is_number && threads >= f->min && threads <= f->max)
        return threads;
    Context c;
    context_read(&c, "");
    return threads_for(&c);
}

Option threads_option(int64_t *threads)
{
    const Field *f = row_field("threads");
    return (Option){.name = f->option,
                    .kind = OPTION_INT,
                    .value_name = "N",
                    .target = threads,
                    .min = f->min,
                    .max = f->max,
                    .help = "threads; OMP_NUM_THREADS, else the CPUs it may use"};
}
