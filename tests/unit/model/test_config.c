/* Model configs: named sizes, checks, closed forms, and config.json files good and bad. */
#include "model/families/family.h"
#include "model/families/llama.h"
#include "model/families/shapes.h"
#include "model/files/config_json.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

static const char *path;

static void make_dir(void)
{
    temp_dir_make();
    path = temp_path("config.json");
}

TestSuite(config, .init = make_dir, .fini = temp_dir_remove);

static ModelConfig load(const char *json)
{
    ModelConfig c;
    Err err;
    temp_write("config.json", json);
    cr_assert_eq(model_config_load(temp_dir, &c, &err), 0, "%s", err.msg);
    return c;
}

static void expect_refused(const char *json, const char *what)
{
    ModelConfig c;
    Err err = {""};
    temp_write("config.json", json);
    cr_assert_eq(model_config_load(temp_dir, &c, &err), -1, "accepted: %s", json);
    cr_expect(strstr(err.msg, path), "no path in '%s'", err.msg);
    cr_expect(strstr(err.msg, what), "no '%s' in '%s'", what, err.msg);
}

static ModelConfig named(const char *name)
{
    const NamedShape *s = model_shape_find(name);
    cr_assert(s, "%s", name);
    return model_config_gpt(s->shape.d_model, s->shape.num_layers, s->shape.num_heads, 50257, 128);
}

/* The first four are the published GPT-2 models. */
Test(config, named_sizes_have_the_known_parameter_counts)
{
    static const struct {
        const char *name;
        size_t params;
    } expected[] = {
        {"small", 124439808}, {"medium", 354823168}, {"large", 774030080},
        {"xl", 1557611200},   {"2.7B", 2648931840},
    };
    cr_assert_geq(num_model_shapes, COUNT_OF(expected));
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        ModelConfig c = named(expected[i].name);
        Err err;
        cr_expect_eq(model_config_check(&c, &err), 0, "%s", err.msg);
        cr_expect_eq(model_num_params(&c), expected[i].params, "%s: %zu", expected[i].name,
                     model_num_params(&c));
    }
    cr_expect_null(model_shape_find("tiny"));
}

static ModelConfig decoder(const char *arch, const char *shape, size_t vocab)
{
    const NamedShape *s = model_shape_find(shape);
    cr_assert(s, "%s", shape);
    DecoderShape d = s->shape;
    d.vocab_size = vocab ? vocab : d.vocab_size;
    return model_config_decoder(arch_find(arch), &d, 512);
}

/* Of the course's table, and of the published models' files. */
Test(config, decoders_have_the_known_parameter_counts)
{
    static const struct {
        const char *arch, *name;
        size_t vocab, params;
    } expected[] = {
        {"cs336", "small", 10000, 128625408},     {"cs336", "medium", 10000, 423183360},
        {"cs336", "large", 10000, 969411840},     {"cs336", "xl", 10000, 1998235200},
        {"cs336", "2.7B", 10000, 3406809600},     {"llama", "smollm2-135m", 0, 134515008},
        {"llama", "llama-3.2-1b", 0, 1235814400}, {"llama", "qwen3-0.6b", 0, 596049920},
    };
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        ModelConfig c = decoder(expected[i].arch, expected[i].name, expected[i].vocab);
        Err err;
        cr_expect_eq(model_config_check(&c, &err), 0, "%s", err.msg);
        cr_expect_eq(model_num_params(&c), expected[i].params, "%s: %zu", expected[i].name,
                     model_num_params(&c));
    }
    cr_expect_null(arch_find("gpt3"));
}

Test(config, decoder_shapes_that_cannot_be)
{
    static const struct {
        size_t heads, kv, head_dim;
        double theta;
        const char *words;
    } wrong[] = {
        {9, 2, 0, 1, "num_kv_heads 2 does not divide num_heads 9"},
        {9, 0, 7, 1, "head_dim 7 is odd"},
        {5, 0, 0, 1, "num_heads 5 does not divide d_model 72"},
        {9, 0, 0, INFINITY, "rope_theta is inf"},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        DecoderShape s = {.d_model = 72,
                          .num_layers = 1,
                          .num_heads = wrong[i].heads,
                          .num_kv_heads = wrong[i].kv,
                          .head_dim = wrong[i].head_dim,
                          .vocab_size = 11,
                          .rope_theta = wrong[i].theta};
        ModelConfig c = model_config_decoder(arch_find("llama"), &s, 4);
        Err err = {""};
        cr_expect_eq(model_config_check(&c, &err), -1);
        cr_expect(strstr(err.msg, wrong[i].words), "%s", err.msg);
    }
}

/* Llama 3's formula in double; between the two wavelengths the scaling is smooth. */
Test(config, rope_frequencies_slow_down_where_waves_are_long)
{
    enum { CHANNELS = 64 };
    float plain[CHANNELS / 2], scaled[CHANNELS / 2];
    Rope r = {.theta = 500000};
    rope_frequencies(&r, CHANNELS, plain);
    r.factor = 32, r.low = 1, r.high = 4, r.original = 8192;
    rope_frequencies(&r, CHANNELS, scaled);
    size_t between = 0;
    for (size_t i = 0; i < CHANNELS / 2; i++) {
        double f = pow(500000, -2.0 * (double)i / CHANNELS), wave = 2 * M_PI / f;
        double smooth = (8192 / wave - 1) / 3, expected = f;
        if (wave > 8192)
            expected = f / 32;
        else if (wave > 2048)
            expected = (1 - smooth) * f / 32 + smooth * f;
        between += wave > 2048 && wave < 8192;
        cr_expect_float_eq(plain[i] / f, 1, 2e-7);
        cr_expect_float_eq(scaled[i] / expected, 1, 1e-6, "plane %zu", i);
    }
    cr_expect(between > 0, "the smooth part is tried");
}

Test(config, positions_grow_with_the_context)
{
    cr_expect_eq(model_config_gpt(8, 1, 1, 10, 1024).max_positions, 1024);
    cr_expect_eq(model_config_gpt(8, 1, 1, 10, 2000).max_positions, 2000);
}

/* Counts of transformers 5.23: sum(p.numel() for p in model.parameters()), without the pooler where
 * there is no classifier. */
Test(config, parameter_counts_of_other_heads)
{
    ModelConfig c = named("small");
    c.tied_head = false;
    cr_expect_eq(model_num_params(&c), 124439808u + 50257u * 768u);
    c.head = HEAD_NONE;
    cr_expect_eq(model_num_params(&c), 124439808);

    c = load("{\"model_type\":\"distilbert\"}");
    cr_expect_eq(model_num_params(&c), 66362880);
    c = load("{\"model_type\":\"distilbert\","
             "\"architectures\":[\"DistilBertForSequenceClassification\"]}");
    cr_expect_eq(model_num_params(&c), 66955010);
    c = load("{\"model_type\":\"bert\"}");
    cr_expect_eq(model_num_params(&c), 109482240 - (768 * 768 + 768));
    c = load("{\"model_type\":\"bert\",\"architectures\":[\"BertForSequenceClassification\"],"
             "\"num_labels\":3}");
    cr_expect_eq(model_num_params(&c), 109482240 + 3 * 769);
}

/* By hand, product by product, for a model small enough to do so. */
Test(config, flops_of_a_small_gpt)
{
    ModelConfig c = model_config_gpt(6, 2, 3, 11, 5); /* C 6, F 24, L 2, V 11; B 3, T 5 */
    double rows = 3 * 5;
    double qkv = 2 * rows * 6 * 18, projection = 2 * rows * 6 * 6;
    double up = 2 * rows * 6 * 24, down = 2 * rows * 24 * 6;
    double pairs = 3 * (1 + 2 + 3 + 4 + 5); /* (query, visible key) */
    double attention = 2 * pairs * 6 * 2;   /* scores and weighted values */
    double head = 2 * rows * 6 * 11;
    double forward = 2 * (qkv + projection + up + down + attention) + head;
    cr_expect_eq(model_flops(&c, 3, 5, false), forward);
    cr_expect_eq(model_flops(&c, 3, 5, true), 3 * forward);
    c.head = HEAD_NONE;
    cr_expect_eq(model_flops(&c, 3, 5, false), forward - head);
}

Test(config, flops_of_a_small_encoder)
{
    ModelConfig c = load("{\"model_type\":\"distilbert\",\"dim\":6,\"n_heads\":3,\"n_layers\":2,"
                         "\"hidden_dim\":10,\"num_labels\":4,"
                         "\"architectures\":[\"DistilBertForSequenceClassification\"]}");
    double rows = 3 * 5, linear = 4 * 2 * rows * 6 * 6 + 2 * 2 * rows * 6 * 10;
    double attention = 2 * (3 * 5 * 5) * 6 * 2;
    double after_attention = 2 * 6 * 6 + 2 * 2 * 6 * 10; /* of a row */
    double head = 2 * 3 * 6 * 6 + 2 * 3 * 6 * 4;
    double unread = (rows - 3) * after_attention; /* the last layer's, but for 3 first tokens */
    cr_expect_eq(model_flops(&c, 3, 5, false), 2 * (linear + attention) + head - unread);
}

Test(config, check_names_the_offending_key)
{
    static const struct {
        size_t offset, value;
        const char *what;
    } cases[] = {
        {offsetof(ModelConfig, vocab_size), 0, "vocab_size is 0"},
        {offsetof(ModelConfig, d_model), 0, "d_model is 0"},
        {offsetof(ModelConfig, num_layers), (size_t)1 << 40, "num_layers is 1099511627776"},
        {offsetof(ModelConfig, num_heads), 0, "num_heads is 0"},
        {offsetof(ModelConfig, num_heads), 5, "num_heads 5 does not divide d_model 768"},
        {offsetof(ModelConfig, d_ff), SIZE_MAX, "d_ff is 18446744073709551615"},
        {offsetof(ModelConfig, max_positions), MAX_DIMENSION + 1, "max_positions is 16777217"},
        {offsetof(ModelConfig, num_layers), MAX_DIMENSION, NULL}, /* 2^24 layers: 2^46.7 weights */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ModelConfig c = named("small");
        Err err = {""};
        memcpy((char *)&c + cases[i].offset, &cases[i].value, sizeof(size_t));
        cr_expect_eq(model_config_check(&c, &err), cases[i].what ? -1 : 0, "%s", err.msg);
        cr_expect(strstr(err.msg, cases[i].what ? cases[i].what : ""), "%s", err.msg);
    }
    ModelConfig c = model_config_gpt(MAX_DIMENSION, MAX_DIMENSION, 1, 10, 10);
    Err err;
    c.d_ff = MAX_DIMENSION;
    cr_expect_eq(model_config_check(&c, &err), -1);
    cr_expect(strstr(err.msg, "beyond the limit"), "%s", err.msg);
    c = named("small");
    c.norm_eps = 0;
    cr_expect_eq(model_config_check(&c, &err), -1);
    c = named("small");
    c.family = &family_bert;
    cr_expect_eq(model_config_check(&c, &err), -1);
    cr_expect(strstr(err.msg, "type_vocab_size is 0"), "%s", err.msg);
    c = named("small");
    c.head = HEAD_CLASSIFIER;
    cr_expect_eq(model_config_check(&c, &err), -1);
    cr_expect(strstr(err.msg, "num_labels is 0"), "%s", err.msg);
}

Test(config, missing_keys_have_the_libraries_defaults)
{
    ModelConfig c = load("{\"model_type\":\"gpt2\"}");
    cr_expect(c.family == &family_gpt2 && c.head == HEAD_LM && c.tied_head);
    cr_expect(c.vocab_size == 50257 && c.d_model == 768 && c.num_layers == 12);
    cr_expect(c.num_heads == 12 && c.d_ff == 3072 && c.max_positions == 1024);
    cr_expect(c.act == ACT_GELU_TANH && c.norm_eps == 1e-5f && c.num_labels == 2);

    c = load("{\"model_type\":\"distilbert\",\"dim\":96}");
    cr_expect(c.family == &family_distilbert && c.head == HEAD_NONE && c.type_vocab_size == 0);
    cr_expect(c.vocab_size == 30522 && c.d_model == 96 && c.num_layers == 6);
    cr_expect(c.num_heads == 12 && c.d_ff == 3072 && c.max_positions == 512);
    cr_expect(c.act == ACT_GELU_ERF && c.norm_eps == 1e-12f);

    c = load("{\"model_type\":\"bert\"}");
    cr_expect(c.family == &family_bert && c.head == HEAD_NONE && c.type_vocab_size == 2);
    cr_expect(c.vocab_size == 30522 && c.d_model == 768 && c.num_layers == 12);
    cr_expect(c.num_heads == 12 && c.d_ff == 3072 && c.max_positions == 512);
    cr_expect(c.act == ACT_GELU_ERF && c.norm_eps == 1e-12f);
}

Test(config, every_key_is_read)
{
    ModelConfig c =
        load("{\"model_type\":\"gpt2\",\"vocab_size\":101,\"n_embd\":36,\"n_layer\":2,\"n_head\":3,"
             "\"n_inner\":50,\"n_positions\":17,\"activation_function\":\"relu\","
             "\"layer_norm_epsilon\":1e-3,\"tie_word_embeddings\":false,\"n_ctx\":17,"
             "\"task_specific_params\":{\"x\":[1,2]}}");
    cr_expect(c.vocab_size == 101 && c.d_model == 36 && c.num_layers == 2 && c.num_heads == 3);
    cr_expect(c.d_ff == 50 && c.max_positions == 17 && c.act == ACT_RELU && c.norm_eps == 1e-3f);
    cr_expect(!c.tied_head);
    c = load("{\"model_type\":\"gpt2\",\"hidden_size\":36,\"num_hidden_layers\":2,"
             "\"num_attention_heads\":3,\"max_position_embeddings\":17,\"n_inner\":null}");
    cr_expect(c.d_model == 36 && c.num_layers == 2 && c.num_heads == 3 && c.max_positions == 17);
    cr_expect_eq(c.d_ff, 144);

    c = load("{\"model_type\":\"distilbert\",\"vocab_size\":1124,\"dim\":32,\"n_layers\":5,"
             "\"n_heads\":4,\"hidden_dim\":128,\"max_position_embeddings\":64,"
             "\"activation\":\"gelu_new\",\"sinusoidal_pos_embds\":false}");
    cr_expect(c.vocab_size == 1124 && c.d_model == 32 && c.num_layers == 5 && c.num_heads == 4);
    cr_expect(c.d_ff == 128 && c.max_positions == 64 && c.act == ACT_GELU_TANH);

    c = load("{\"model_type\":\"bert\",\"vocab_size\":99,\"hidden_size\":48,"
             "\"num_hidden_layers\":3,\"num_attention_heads\":4,\"intermediate_size\":77,"
             "\"max_position_embeddings\":33,\"type_vocab_size\":1,\"hidden_act\":\"tanh\","
             "\"layer_norm_eps\":1e-6,\"position_embedding_type\":\"absolute\"}");
    cr_expect(c.vocab_size == 99 && c.d_model == 48 && c.num_layers == 3 && c.num_heads == 4);
    cr_expect(c.d_ff == 77 && c.max_positions == 33 && c.type_vocab_size == 1);
    cr_expect(c.act == ACT_TANH && c.norm_eps == 1e-6f);
}

Test(config, architectures_decide_the_head)
{
    static const struct {
        const char *type, *architectures;
        ModelHead head;
    } cases[] = {
        {"gpt2", "null", HEAD_LM},
        {"gpt2", "[]", HEAD_LM},
        {"gpt2", "[\"GPT2LMHeadModel\"]", HEAD_LM},
        {"gpt2", "[\"GPT2DoubleHeadsModel\"]", HEAD_LM},
        {"gpt2", "[\"GPT2Model\"]", HEAD_NONE},
        {"distilbert", "[\"DistilBertModel\"]", HEAD_NONE},
        {"distilbert", "[\"DistilBertForMaskedLM\"]", HEAD_NONE},
        {"distilbert", "[\"DistilBertForSequenceClassification\"]", HEAD_CLASSIFIER},
        {"bert", "[\"BertForPreTraining\"]", HEAD_NONE},
        {"bert", "[\"BertForSequenceClassification\"]", HEAD_CLASSIFIER},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char json[256];
        snprintf(json, sizeof json, "{\"model_type\":\"%s\",\"architectures\":%s}", cases[i].type,
                 cases[i].architectures);
        cr_expect_eq(load(json).head, cases[i].head, "%s", json);
    }
    cr_expect(load("{\"model_type\":\"bert\"}").head_open);
    cr_expect(!load("{\"model_type\":\"bert\",\"architectures\":[\"BertModel\"]}").head_open);
    cr_expect(!load("{\"model_type\":\"gpt2\"}").head_open);
}

Test(config, labels_are_counted)
{
    cr_expect_eq(load("{\"model_type\":\"bert\",\"num_labels\":7}").num_labels, 7);
    cr_expect_eq(load("{\"model_type\":\"bert\",\"id2label\":{\"0\":\"a\",\"1\":\"b\",\"2\":\"c\"},"
                      "\"num_labels\":7}")
                     .num_labels,
                 3);
    cr_expect_eq(load("{\"model_type\":\"bert\",\"id2label\":null}").num_labels, 2);
}

Test(config, pad_token)
{
    ModelConfig c = load("{\"model_type\":\"bert\"}");
    cr_expect(c.has_pad_token && c.pad_token == 0);
    c = load("{\"model_type\":\"distilbert\",\"pad_token_id\":7}");
    cr_expect(c.has_pad_token && c.pad_token == 7);
    cr_expect(!load("{\"model_type\":\"bert\",\"pad_token_id\":null}").has_pad_token);
    cr_expect(!load("{\"model_type\":\"gpt2\",\"pad_token_id\":7}").has_pad_token);
    cr_expect(!load("{\"model_type\":\"llama\"}").has_pad_token);
    c = load("{\"model_type\":\"llama\",\"pad_token_id\":7}");
    cr_expect(c.has_pad_token && c.pad_token == 7);
    c = load("{\"model_type\":\"bert\",\"vocab_size\":9,\"pad_token_id\":-1}");
    cr_expect(c.has_pad_token && c.pad_token == 8);
    const char *what = "pad_token_id must be null or from -9 to 8";
    expect_refused("{\"model_type\":\"bert\",\"vocab_size\":9,\"pad_token_id\":9}", what);
    expect_refused("{\"model_type\":\"bert\",\"vocab_size\":9,\"pad_token_id\":-10}", what);
    expect_refused("{\"model_type\":\"bert\",\"vocab_size\":9,\"pad_token_id\":\"0\"}", what);
}

/* The course's own type, which the transformers library does not have. */
Test(config, a_course_model_turns_interleaved_pairs)
{
    ModelConfig c = load("{\"model_type\":\"cs336\",\"num_key_value_heads\":4}");
    cr_expect(c.rope.interleaved && c.rope.theta == 10000 && c.norm_eps == 1e-5f);
    cr_expect(c.head == HEAD_LM && !c.tied_head && c.num_kv_heads == 4 && !c.xavier);
    c = load("{\"model_type\":\"llama\"}");
    cr_expect(!c.rope.interleaved);
}

Test(config, refuses_bad_files)
{
    static const struct {
        const char *json, *what;
    } cases[] = {
        {"", "config.json:1:0: "},
        {"{\"model_type\":\n \"gpt2\",}", "config.json:2:9: "},
        {"[]", "one JSON object"},
        {"{}", "no model_type"},
        {"{\"model_type\":3}", "no model_type"},
        {"{\"model_type\":\"t5\"}", "model_type 't5' is not built; gpt2, llama, mistral, qwen2, "
                                    "qwen3, cs336, distilbert and bert are"},
        {"{\"model_type\":\"gpt2\",\"n_layer\":0}", "n_layer is 0"},
        {"{\"model_type\":\"gpt2\",\"quantization_config\":{\"quant_method\":\"gptq\"}}",
         "quantization_config is not built"},
        {"{\"model_type\":\"gpt2\",\"n_layer\":-3}", "n_layer is negative"},
        {"{\"model_type\":\"gpt2\",\"n_layer\":1099511627776}", "n_layer is 1099511627776"},
        {"{\"model_type\":\"gpt2\",\"n_layer\":99999999999999999999}",
         "n_layer must be a whole number"},
        {"{\"model_type\":\"bert\",\"layer_norm_eps\":NaN}", "layer_norm_eps must be a number"},
        {"{\"model_type\":\"bert\",\"layer_norm_eps\":Infinity}", "layer_norm_eps is inf"},
        {"{\"model_type\":\"gpt2\",\"n_layer\":2.0}", "n_layer must be a whole number"},
        {"{\"model_type\":\"gpt2\",\"n_layer\":\"2\"}", "n_layer must be a whole number"},
        {"{\"model_type\":\"gpt2\",\"n_layer\":true}", "n_layer must be a whole number"},
        {"{\"model_type\":\"gpt2\",\"n_layer\":null}", "n_layer must be a whole number"},
        {"{\"model_type\":\"gpt2\",\"n_inner\":0}", "n_inner is 0"},
        {"{\"model_type\":\"gpt2\",\"hidden_size\":-1}", "hidden_size is negative"},
        {"{\"model_type\":\"gpt2\",\"n_embd\":48,\"hidden_size\":36}", "hidden_size mean the same"},
        {"{\"model_type\":\"gpt2\",\"n_head\":5}", "n_head 5 does not divide n_embd 768"},
        {"{\"model_type\":\"distilbert\",\"n_heads\":5}", "n_heads 5 does not divide dim 768"},
        {"{\"model_type\":\"gpt2\",\"n_embd\":16777216,\"n_head\":1,\"n_inner\":4}", "2^48"},
        {"{\"model_type\":\"bert\",\"type_vocab_size\":0}", "type_vocab_size is 0"},
        {"{\"model_type\":\"gpt2\",\"activation_function\":\"silu\"}",
         "activation_function 'silu'"},
        {"{\"model_type\":\"distilbert\",\"activation\":3}", "activation must be a string"},
        {"{\"model_type\":\"bert\",\"hidden_act\":\"gelu_10\"}", "hidden_act 'gelu_10'"},
        {"{\"model_type\":\"bert\",\"layer_norm_eps\":\"1\"}", "layer_norm_eps must be a number"},
        {"{\"model_type\":\"bert\",\"layer_norm_eps\":-1e-5}", "layer_norm_eps is -1e-05"},
        {"{\"model_type\":\"bert\",\"layer_norm_eps\":1e300}", "layer_norm_eps is inf"},
        {"{\"model_type\":\"gpt2\",\"tie_word_embeddings\":1}", "tie_word_embeddings must be true"},
        {"{\"model_type\":\"bert\",\"architectures\":\"BertModel\"}",
         "architectures must be a list"},
        {"{\"model_type\":\"bert\",\"architectures\":[1]}", "architectures must be a list"},
        {"{\"model_type\":\"bert\",\"id2label\":[]}", "id2label must be an object"},
        {"{\"model_type\":\"bert\",\"num_labels\":0}", "num_labels is 0"},
        {"{\"model_type\":\"bert\",\"architectures\":[\"BertForSequenceClassification\"],"
         "\"id2label\":{}}",
         "num_labels is 0"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_refused(cases[i].json, cases[i].what);
}

/* As Python's json module has it; the sinusoidal flag only says how a table began. */
Test(config, what_python_reads_is_read)
{
    ModelConfig c = load("{\"model_type\":\"gpt2\",\"n_layer\":7,\"max_length\":"
                         "1000000000000000019884624838656,\"a\":[NaN,-Infinity,1e999,\"\\ud800\"],"
                         "\"n_layer\":3}");
    cr_expect(c.family == &family_gpt2 && c.num_layers == 3);
    c = load(
        "{\"model_type\":\"gpt2\",\"model_type\":\"distilbert\",\"sinusoidal_pos_embds\":true}");
    cr_expect(c.family == &family_distilbert);
}

Test(config, refuses_by_name_what_is_not_built)
{
    static const char *const cases[][3] = {
        {"gpt2", "scale_attn_weights", "false"},
        {"gpt2", "scale_attn_by_inverse_layer_idx", "true"},
        {"gpt2", "reorder_and_upcast_attn", "true"},
        {"gpt2", "add_cross_attention", "true"},
        {"gpt2", "tie_last_hidden_states", "false"},
        {"bert", "is_decoder", "true"},
        {"bert", "position_embedding_type", "\"relative_key\""},
        {"bert", "position_embedding_type", "3"},
        {"bert", "architectures", "[\"BertForQuestionAnswering\"]"},
        {"bert", "architectures", "[\"BertForTokenClassification\"]"},
        {"distilbert", "architectures", "[\"DistilBertForMultipleChoice\"]"},
        {"gpt2", "architectures", "[\"GPT2ForSequenceClassification\"]"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char json[256];
        snprintf(json, sizeof json, "{\"model_type\":\"%s\",\"%s\":%s}", cases[i][0], cases[i][1],
                 cases[i][2]);
        expect_refused(json, cases[i][1]);
    }
    load("{\"model_type\":\"gpt2\",\"scale_attn_weights\":true,\"add_cross_attention\":false,"
         "\"reorder_and_upcast_attn\":false,\"is_decoder\":true,\"position_embedding_type\":null}");
}

Test(config, refuses_what_is_no_file)
{
    ModelConfig c;
    Err err;
    cr_expect_eq(model_config_load(temp_dir, &c, &err), -1);
    cr_expect(strstr(err.msg, path) && strstr(err.msg, "No such file"), "%s", err.msg);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_expect_eq(model_config_load(temp_dir, &c, &err), -1);
    cr_expect(strstr(err.msg, "directory"), "%s", err.msg);
}

/* What model/files reads of every row that has an LM head: its parameters under these names. */
Test(config, every_family_names_what_a_tied_head_shares)
{
    static const Family *const families[] = {
#define FAMILY(name) &family_##name,
#include "model/families/families.def"
#undef FAMILY
    };
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        const Family *f = families[i];
        ModelConfig c = {.family = f,
                         .head = f->lm_classes ? HEAD_LM : HEAD_NONE,
                         .vocab_size = 11,
                         .d_model = 8,
                         .num_layers = 1,
                         .num_heads = 2,
                         .d_ff = 8,
                         .max_positions = 4,
                         .type_vocab_size = 2,
                         .norm_eps = 1e-5f,
                         .rope = {.theta = 10}};
        Params p;
        model_declare(&p, &c);
        cr_expect((f->table != NULL) == (f->lm_classes != NULL), "%s", f->model_type);
        size_t found = 0;
        for (size_t k = 0; k < p.count && f->table; k++)
            found +=
                strcmp(p.list[k]->name, f->table) == 0 || strcmp(p.list[k]->name, f->lm_head) == 0;
        cr_expect(found == (f->table ? 2u : 0u), "%s: %zu of its two tables", f->model_type, found);
        params_release(&p);
    }
}
