/* recording: see recording.h. */
#include "model/recording.h"

#include <stdlib.h>

void model_record(Graph *g, const ModelConfig *c, Params *p, const RecordWants *want, Recording *r)
{
    CHECK(want->context <= c->max_positions, "%zu positions of %zu", want->context,
          c->max_positions);
    size_t bt[] = {want->batch, want->context}, ends = want->batch + 1;
    CHECK(!want->rows || !want->mask, "sequences without padding need no mask");
    CHECK(want->rows <= INT32_MAX, "%zu rows", want->rows);
    if (want->rows) {
        bt[0] = 1;
        bt[1] = want->rows;
    }
    bool classifier = c->head == HEAD_CLASSIFIER;
    *r = (Recording){.tokens = graph_input(g, "tokens", DT_I32, 2, bt),
                     .hidden = xcalloc(c->num_layers + 1, sizeof *r->hidden)};
    r->sequences = (Sequences){.batch = want->batch, .longest = want->context};
    if (want->rows)
        r->sequences.starts = graph_input(g, "starts", DT_I32, 1, &ends);
    if (want->mask)
        r->mask = graph_input(g, "mask", DT_I32, 2, bt);
    if (want->loss)
        r->targets =
            graph_input(g, "targets", DT_I32, classifier ? 1 : 2, classifier ? &want->batch : bt);
    if (c->type == MODEL_GPT2)
        gpt_record(g, c, p, want, r);
    else
        encoder_record(g, c, p, want, r);
    for (size_t i = 0; i <= c->num_layers && want->hidden; i++)
        tensor_keep(r->hidden[i]);
    if (r->logits && want->logits)
        tensor_keep(r->logits);
    if (r->loss)
        tensor_keep(r->loss);
}

void recording_release(Recording *r)
{
    free(r->hidden);
    *r = (Recording){0};
}

void model_declare(Params *p, const ModelConfig *c)
{
    Graph g;
    Recording r;
    params_init(p);
    graph_init(&g);
    model_record(&g, c, p, &(RecordWants){.batch = 1, .context = 1}, &r);
    recording_release(&r);
    graph_release(&g);
}
