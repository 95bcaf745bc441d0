/* threads_option: see threads_option.h. */
#include "threads_option.h"

#include <sched.h>
#include <stdlib.h>

#include "row.h"

int64_t threads_default(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    int64_t threads;
    const Field *f = row_field("threads");
    if (text && parse_int(text, &threads) == 0 && threads >= f->min && threads <= f->max)
        return threads;
    cpu_set_t cpus;
    return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
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
