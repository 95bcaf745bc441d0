/* component: see component.h. */
#include "bench/compare/component.h"

#include <string.h>

enum {
    TOKENIZER_PEERS = 1 << IMPL_TOKENIZERS,
    GPT_PEERS = 1 << IMPL_PYTORCH | 1 << IMPL_PYTORCH_COMPILE,
    ONNX_PEERS = 1 << IMPL_ONNXRUNTIME,
    ENCODER_PEERS = GPT_PEERS | ONNX_PEERS,
    DECODER_PEERS =
        1 << IMPL_PYTORCH | 1 << IMPL_PYTORCH_STATIC | 1 << IMPL_LLAMA_CPP | 1 << IMPL_OPENVINO,
    CLASSIFIER_PEERS = ENCODER_PEERS | 1 << IMPL_PYTORCH_GPU | 1 << IMPL_PYTORCH_MPS
};

/* Bounds of formats, of the distance from fp32 of the same model by root mean squares (parity.h);
 * each is about twice the worst seen.
 *
 * int8, hidden values: 0.037 here, 0.048 in ONNX Runtime, over DistilBERT-base and a small one. */
#define INT8_TOLERANCE 0.1

/* bf16, hidden values of the same two: 0.014 here, 0.016 in PyTorch. */
#define HIDDEN_BF16_TOLERANCE 0.03

/* Gradients in mixed, of GPT small and medium and of three small decoders, 24 random inputs in
 * all: 0.019 here, 0.023 in PyTorch's autocast. Losses, whose bound is a small part of it
 * (parity.h), in mixed and in bf16: 6.5e-4 here, 6.1e-4 in PyTorch. */
#define LOSS_TOLERANCE 0.045

/* Decoders' logits, each sequence by itself, the worst of SmolLM2-135M in three times nine random
 * prompts of 129 tokens: bf16 0.029 here, 0.012 in PyTorch, 0.011 in llama.cpp; q8_0 0.041 here,
 * 0.076 in llama.cpp. */
#define BF16_TOLERANCE 0.06
#define Q8_0_TOLERANCE 0.15

/* In the order of the enum. */
const char *const implementation_names[NUM_IMPLEMENTATIONS] = {
    "tare",        "pytorch",     "pytorch_compile", "onnxruntime", "tokenizers",
    "pytorch_gpu", "pytorch_mps", "pytorch_static",  "llama_cpp",   "openvino"};

/* llama.cpp's own packages use no instruction beyond AVX2: built here it uses what there is. */
const char *const implementation_packages[NUM_IMPLEMENTATIONS] = {
    [IMPL_LLAMA_CPP] = "CMAKE_ARGS=-DGGML_NATIVE=ON|"
                       "--no-binary llama-cpp-python llama-cpp-python==0.3.36 gguf==0.19.0",
    [IMPL_OPENVINO] = "|openvino-genai==2026.4.1.0 gguf==0.19.0"};

const Component components[] = {
    {"tokenizer", "Tokenizer", COMPONENT_TOKENIZER, .peers = TOKENIZER_PEERS, .from_text = true},
    {"corpus", "Tokenizer, Whole File", COMPONENT_TOKENIZER, .peers = TOKENIZER_PEERS,
     .from_text = true, .whole_file = true},
    {"embeddings", "Embeddings", COMPONENT_ENCODER, .peers = ENCODER_PEERS,
     .only_embeddings = true},
    {"model", "Model", COMPONENT_ENCODER, .peers = ENCODER_PEERS},
    {"model_int8", "Model, INT8", COMPONENT_ENCODER, .peers = ONNX_PEERS,
     .precision = PRECISION_INT8, .tolerance = INT8_TOLERANCE},
    {"model_bf16", "Model, BF16", COMPONENT_ENCODER, .peers = GPT_PEERS,
     .precision = PRECISION_BF16, .tolerance = HIDDEN_BF16_TOLERANCE},
    {"end_to_end", "End-to-End", COMPONENT_ENCODER, .peers = ENCODER_PEERS, .from_text = true},
    {"gpt_forward", "Forward", COMPONENT_GPT, .peers = GPT_PEERS},
    {"gpt_forward_backward", "Forward + Backward", COMPONENT_GPT, .peers = GPT_PEERS,
     .backward = true},
    {"gpt_step", "Training Step (AdamW)", COMPONENT_GPT, .peers = GPT_PEERS, .backward = true,
     .update = true},
    {"gpt_forward_bf16", "Forward, BF16", COMPONENT_GPT, .peers = GPT_PEERS,
     .precision = PRECISION_BF16, .tolerance = LOSS_TOLERANCE},
    {"gpt_forward_backward_mixed", "Forward + Backward, Mixed", COMPONENT_GPT, .peers = GPT_PEERS,
     .backward = true, .precision = PRECISION_MIXED, .tolerance = LOSS_TOLERANCE},
    {"gpt_step_mixed", "Training Step (AdamW), Mixed", COMPONENT_GPT, .peers = GPT_PEERS,
     .backward = true, .update = true, .precision = PRECISION_MIXED, .tolerance = LOSS_TOLERANCE},
    {"attention_forward", "Attention, Forward", COMPONENT_ATTENTION, .peers = 1 << IMPL_PYTORCH},
    {"attention", "Attention, Forward + Backward", COMPONENT_ATTENTION, .peers = 1 << IMPL_PYTORCH,
     .backward = true},
    {"prefill", "Prefill", COMPONENT_DECODER, .peers = DECODER_PEERS},
    {"decode", "Decode", COMPONENT_DECODER, .peers = DECODER_PEERS, .generates = true},
    {"prefill_bf16", "Prefill, BF16", COMPONENT_DECODER, .peers = DECODER_PEERS,
     .precision = PRECISION_BF16, .tolerance = BF16_TOLERANCE},
    {"decode_bf16", "Decode, BF16", COMPONENT_DECODER,
     .peers = DECODER_PEERS & ~(1 << IMPL_OPENVINO), .generates = true, .precision = PRECISION_BF16,
     .tolerance = BF16_TOLERANCE},
    {"prefill_q8_0", "Prefill, Q8_0", COMPONENT_DECODER, .peers = DECODER_PEERS,
     .precision = PRECISION_Q8_0, .tolerance = Q8_0_TOLERANCE},
    {"decode_q8_0", "Decode, Q8_0", COMPONENT_DECODER,
     .peers = DECODER_PEERS & ~(1 << IMPL_OPENVINO), .generates = true, .precision = PRECISION_Q8_0,
     .tolerance = Q8_0_TOLERANCE},
    {"first_token_bf16", "Load to First Token, BF16", COMPONENT_DECODER,
     .peers = 1 << IMPL_PYTORCH | 1 << IMPL_LLAMA_CPP | 1 << IMPL_OPENVINO, .reloads = true,
     .precision = PRECISION_BF16, .tolerance = BF16_TOLERANCE},
    {"classify", "Text to Label", COMPONENT_CLASSIFIER, .peers = CLASSIFIER_PEERS,
     .from_text = true},
};
const size_t num_components = COUNT_OF(components);

double component_tolerance(const Component *c, size_t by)
{
    bool torch = by == IMPL_PYTORCH || by == IMPL_PYTORCH_STATIC;
    return c->precision == PRECISION_Q8_0 && torch ? BF16_TOLERANCE : c->tolerance;
}

bool component_has_steps(const Component *c)
{
    return !c->reloads && (c->kind == COMPONENT_ENCODER || c->kind == COMPONENT_GPT ||
                           c->kind == COMPONENT_DECODER);
}

const Component *component_find(const char *name)
{
    for (size_t i = 0; i < num_components; i++)
        if (strcmp(components[i].name, name) == 0)
            return &components[i];
    return NULL;
}
