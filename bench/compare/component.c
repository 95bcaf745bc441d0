/* component: see component.h. */
#include "bench/compare/component.h"

#include <string.h>

#define ENCODER_PEERS "pytorch|pytorch_compile|onnxruntime"
#define GPT_PEERS     "pytorch|pytorch_compile"
/* Both sides quantise weights and activations, each its own way: a scale per output and row here, a
 * scale per matrix there. Seen on DistilBERT-base, b8s128: 0.059 of the largest hidden value. */
#define INT8_TOLERANCE   0.1
#define CLASSIFIER_PEERS "pytorch|pytorch_compile|onnxruntime|pytorch_gpu|pytorch_mps"

const char *const implementation_names[NUM_IMPLEMENTATIONS] = {[IMPL_TARE] = "tare",
                                                               [IMPL_PYTORCH] = "pytorch",
                                                               [IMPL_PYTORCH_COMPILE] =
                                                                   "pytorch_compile",
                                                               [IMPL_ONNXRUNTIME] = "onnxruntime",
                                                               [IMPL_TOKENIZERS] = "tokenizers",
                                                               [IMPL_PYTORCH_GPU] = "pytorch_gpu",
                                                               [IMPL_PYTORCH_MPS] = "pytorch_mps"};

size_t implementation_find(const char *name)
{
    size_t k = 0;
    while (k < NUM_IMPLEMENTATIONS && strcmp(implementation_names[k], name) != 0)
        k++;
    return k;
}

const Component components[] = {
    {.name = "tokenizer",
     .title = "Tokenizer",
     .kind = COMPONENT_TOKENIZER,
     .peers = "tokenizers",
     .from_text = true},
    {.name = "corpus",
     .title = "Tokenizer, Whole File",
     .kind = COMPONENT_TOKENIZER,
     .peers = "tokenizers",
     .from_text = true,
     .whole_file = true},
    {.name = "embeddings",
     .title = "Embeddings",
     .kind = COMPONENT_ENCODER,
     .peers = ENCODER_PEERS,
     .only_embeddings = true},
    {.name = "model", .title = "Model", .kind = COMPONENT_ENCODER, .peers = ENCODER_PEERS},
    {.name = "model_int8",
     .title = "Model, INT8",
     .kind = COMPONENT_ENCODER,
     .peers = "onnxruntime",
     .precision = PRECISION_INT8,
     .tolerance = INT8_TOLERANCE},
    {.name = "end_to_end",
     .title = "End-to-End",
     .kind = COMPONENT_ENCODER,
     .peers = ENCODER_PEERS,
     .from_text = true},
    {.name = "gpt_forward", .title = "Forward", .kind = COMPONENT_GPT, .peers = GPT_PEERS},
    {.name = "gpt_forward_backward",
     .title = "Forward + Backward",
     .kind = COMPONENT_GPT,
     .peers = GPT_PEERS,
     .backward = true},
    {.name = "gpt_step",
     .title = "Training Step (AdamW)",
     .kind = COMPONENT_GPT,
     .peers = GPT_PEERS,
     .backward = true,
     .update = true},
    {.name = "classify",
     .title = "Text to Label",
     .kind = COMPONENT_CLASSIFIER,
     .peers = CLASSIFIER_PEERS,
     .from_text = true},
};
const size_t num_components = COUNT_OF(components);

const Component *component_find(const char *name)
{
    for (size_t i = 0; i < num_components; i++)
        if (strcmp(components[i].name, name) == 0)
            return &components[i];
    return NULL;
}

bool component_has_peer(const Component *c, const char *peer)
{
    size_t len = strlen(peer);
    for (const char *at = c->peers; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, peer, len) == 0 && (at[len] == '|' || at[len] == '\0'))
            return true;
    }
    return false;
}
