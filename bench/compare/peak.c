/* peak: see peak.h. */
#include "bench/compare/peak.h"

#include <math.h>
#include <stdio.h>

#include "model/families/family.h"

void peak_watch_measure(PeakWatch *w)
{
    Peaks now;
    Err err;
    if (peaks_spawn(w->threads, &now, &err) != 0) {
        fprintf(stderr, "tare: %s, so shares of the peak are missing\n", err.msg);
        return;
    }
    if (w->known)
        peaks_raise(&w->peaks, &now);
    else
        w->peaks = now;
    w->known = true;
}

void peak_watch_doubt(PeakWatch *w, DType product, double gflops)
{
    enum { MORE_MEASUREMENTS = 3 };
    for (int i = 0; i < MORE_MEASUREMENTS && peak_watch_implausible(w, product, gflops); i++)
        peak_watch_measure(w);
}

double peak_watch_fraction(const PeakWatch *w, DType product, double gflops)
{
    return w->known ? gflops / peaks_of_product(&w->peaks, product) : NAN;
}

bool peak_watch_implausible(const PeakWatch *w, DType product, double gflops)
{
    return w->known && gflops > peaks_limit_of_product(&w->peaks, product);
}

json_t *peak_watch_to_json(const PeakWatch *w)
{
    return w->known ? peaks_to_json(&w->peaks) : json_null();
}

double cell_flops(const CompareCell *cell, const ModelConfig *config)
{
    const Component *what = cell->component;
    ModelConfig c = *config;
    if (what->kind == COMPONENT_TOKENIZER || what->only_embeddings)
        return NAN;
    if (what->kind == COMPONENT_ENCODER)
        c.head = HEAD_NONE; /* it stops at the last hidden state */
    return model_flops(&c, cell->batch_size, cell->seq_len, what->backward);
}
