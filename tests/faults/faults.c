/* faults: makes a `tare` that goes wrong on purpose, so that its warnings can be seen to come.
 *
 * The one idea: the product has no hook for this. The linker puts these functions in the place of
 * three of its own (ld --wrap), in the program tare_faults and nowhere else. Which faults, the
 * environment says, with blanks between them; runs of a process count from 1, warmups too:
 *
 *   TARE_FAULT="sleep=7:200"      run 7 sleeps for 200 ms
 *   TARE_FAULT="slow=9-999:1.3"   runs 9 to 999 take 1.3 times as long, busy all the time
 *   TARE_FAULT="clock=0.1"        the clock runs at a tenth of its speed, in every process
 *   TARE_FAULT="row_clock=0.1"    the same from the first run on: rows lie, measured peaks do not
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/model.h"

int64_t __real_clock_ns(void);
void __real_model_forward(Model *m);
void __real_model_backward(Model *m);
int64_t __wrap_clock_ns(void);
void __wrap_model_forward(Model *m);
void __wrap_model_backward(Model *m);

static struct Faults {
    long sleep_run;
    double sleep_ms;
    long slow_from, slow_to;
    double slow_factor;
    double clock_speed, row_clock_speed;
} faults = {.slow_factor = 1, .clock_speed = 1, .row_clock_speed = 1};

static long run; /* the run under way, from 1 */

static int read_fault(const char *word)
{
    return sscanf(word, "sleep=%ld:%lf", &faults.sleep_run, &faults.sleep_ms) == 2 ||
           sscanf(word, "slow=%ld-%ld:%lf", &faults.slow_from, &faults.slow_to,
                  &faults.slow_factor) == 3 ||
           sscanf(word, "clock=%lf", &faults.clock_speed) == 1 ||
           sscanf(word, "row_clock=%lf", &faults.row_clock_speed) == 1;
}

__attribute__((constructor)) static void read_faults(void)
{
    const char *given = getenv("TARE_FAULT");
    char *words = xstrdup(given ? given : "");
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        CHECK(read_fault(word), "TARE_FAULT has '%s'", word);
    free(words);
}

/* Time goes on from where the clock was when its speed changed. */
int64_t __wrap_clock_ns(void)
{
    static int64_t real_then, shown_then;
    static double speed = 1;
    int64_t now = __real_clock_ns();
    double wanted = run ? faults.clock_speed * faults.row_clock_speed : faults.clock_speed;
    int64_t shown = shown_then + (int64_t)((double)(now - real_then) * speed);
    if (wanted != speed) {
        real_then = now;
        shown_then = shown;
        speed = wanted;
    }
    return shown;
}

/* Stays busy until what began at start_ns has taken as much longer as it should. */
static void slow_down(int64_t start_ns)
{
    if (run < faults.slow_from || run > faults.slow_to)
        return;
    int64_t now = __real_clock_ns();
    int64_t until = start_ns + (int64_t)((double)(now - start_ns) * faults.slow_factor);
    while (__real_clock_ns() < until)
        ;
}

void __wrap_model_forward(Model *m)
{
    int64_t start = __real_clock_ns();
    run++;
    __real_model_forward(m);
    if (run == faults.sleep_run)
        usleep((useconds_t)(1e3 * faults.sleep_ms));
    else
        slow_down(start);
}

void __wrap_model_backward(Model *m)
{
    int64_t start = __real_clock_ns();
    __real_model_backward(m);
    slow_down(start);
}
