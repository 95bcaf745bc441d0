/* component: what `tare compare` can measure, what each of these needs, and who can do it. The one
 * list that the configs, the workers' requests and the reports share; it measures nothing. */
#pragma once

#include "autograd/base.h"
#include "model/precision.h"

/* The first is ours; the names of the others are the arguments that bench/peers/worker.py takes. */
enum {
    IMPL_TARE,
    IMPL_PYTORCH,
    IMPL_PYTORCH_COMPILE,
    IMPL_ONNXRUNTIME,
    IMPL_TOKENIZERS,
    IMPL_PYTORCH_GPU,
    IMPL_PYTORCH_MPS,
    IMPL_PYTORCH_STATIC,
    IMPL_LLAMA_CPP,
    IMPL_OPENVINO,
    NUM_IMPLEMENTATIONS
};
extern const char *const implementation_names[NUM_IMPLEMENTATIONS];
/* What pip is given to install it, behind settings of its environment; NULL:
 * bench/peers/requirements.txt. */
extern const char *const implementation_packages[NUM_IMPLEMENTATIONS];

typedef enum ComponentKind {
    COMPONENT_TOKENIZER,  /* texts in, ids out */
    COMPONENT_ENCODER,    /* a hidden state out */
    COMPONENT_GPT,        /* ids and targets in, the loss out */
    COMPONENT_CLASSIFIER, /* one text in, its label out */
    COMPONENT_ATTENTION,  /* queries, keys and values in; one layer, without weights */
    COMPONENT_DECODER,    /* prompts in, behind them tokens one by one out */
} ComponentKind;

typedef struct Component {
    const char *name, *title; /* in files; in tables */
    ComponentKind kind;
    unsigned peers;        /* a bit for each that can do it, 1 << IMPL_PYTORCH; tare can do all */
    bool generates;        /* a decoder, behind its prompts */
    bool reloads;          /* a decoder, from its file on, in every call */
    bool from_text;        /* its input is text, cut to seq_len ids where there is a seq_len */
    bool only_embeddings;  /* an encoder that stops at hidden state 0 */
    bool backward, update; /* of a GPT; of attention the first */
    bool whole_file; /* a tokenizer on every text of a file, instead of batch_size sentences */
    Precision precision;
    double tolerance; /* of a format that rounds more, from fp32 of the same model; else 0 */
} Component;

extern const Component components[];
extern const size_t num_components;

/* Of the outputs of implementation `by`, which may compute in another format. */
double component_tolerance(const Component *c, size_t by);

/* Whether tare's calls are steps of a plan, which a profile tells apart. */
bool component_has_steps(const Component *c);

const Component *component_find(const char *name); /* NULL when there is none */
