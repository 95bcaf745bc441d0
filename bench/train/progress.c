/* progress: see progress.h. */
#include "bench/train/progress.h"

#include <inttypes.h>
#include <math.h>
#include <unistd.h>

#include "bench/util/units.h"

#define ERASE_LINE "\r\033[K"

static double now(void)
{
    return 1e-9 * (double)clock_ns();
}

void train_progress_start(TrainProgress *p, FILE *out, uint64_t done, uint64_t total)
{
    *p = (TrainProgress){
        .out = out, .live = isatty(fileno(out)), .first = done, .total = total, .began = now()};
    if (done > 0)
        fprintf(out, "resumed after step %" PRIu64 " of %" PRIu64 "\n", done, total);
}

static void print_line(const TrainProgress *p, const LossRow *row, double elapsed)
{
    char time[UNIT_TEXT_SIZE];
    uint64_t step = (uint64_t)row->step;
    bool is_last = step == p->total;
    double left = elapsed / (double)(step - p->first) * (double)(p->total - step);
    format_duration(time, is_last ? elapsed : left);
    fprintf(p->out, "%sstep %" PRIu64 "/%" PRIu64 ", epoch %.2f, loss %.4f, %.1f examples/s, %s %s",
            p->live ? ERASE_LINE : "", step, p->total, row->epoch, row->loss,
            (double)p->examples / elapsed, time, is_last ? "in all" : "left");
    if (!isnan(row->development_loss))
        fprintf(p->out, ", development loss %.4f", row->development_loss);
    if (!isnan(row->development_accuracy))
        fprintf(p->out, ", accuracy %.4f", row->development_accuracy);
    if (!p->live || !isnan(row->development_loss))
        fputc('\n', p->out);
    fflush(p->out);
}

void train_progress_show(TrainProgress *p, const LossRow *row, size_t examples)
{
    const double live_seconds = 0.2, log_seconds = 10;
    double time = now();
    p->examples += examples;
    bool worth_a_line = !isnan(row->development_loss) || (uint64_t)row->step == p->total;
    if (!worth_a_line && time - p->shown < (p->live ? live_seconds : log_seconds))
        return;
    p->shown = time;
    print_line(p, row, time - p->began);
}

void train_progress_end(TrainProgress *p)
{
    if (p->live)
        fputc('\n', p->out);
    fflush(p->out);
}
