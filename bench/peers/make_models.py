"""Makes Hugging Face model directories from seeds, without a network: small GPT-2, DistilBERT and BERT
models of odd shapes for the tests, and the full-size shapes that `tare compare` measures (it runs this
by itself and keeps what it made in .cache/models). One is no random model: smollm2-135m is made of its GGUF file.

    make_models.py OUT_DIR               # every small model, each in OUT_DIR/NAME
    make_models.py OUT_DIR --only NAME   # one, also one of the large ones
    make_models.py OUT_DIR --list        # names and what they are, nothing is written

Every weight is random, norms and biases too: with their initial ones and zeros a missing bias or a
forgotten norm weight would not show. Encoders get a vocab.txt of the right size.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import torch
import transformers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    DistilBertModel,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SENTIMENT = {"id2label": {0: "NEGATIVE", 1: "POSITIVE"}, "label2id": {"NEGATIVE": 0, "POSITIVE": 1}}
SMALL_DISTILBERT = dict(dim=32, n_layers=5, n_heads=4, hidden_dim=128, vocab_size=1124)
SMALL_BERT = dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=100,
                  vocab_size=1124, max_position_embeddings=128)



def decoder(width, heads, kv_heads, layers=2, theta=10000.0, scaling=None, **more):
    """Settings of a small model of the Llama family."""
    rope = {"rope_type": "default", "rope_theta": theta, **(scaling or {})}
    return dict(vocab_size=101, hidden_size=width, intermediate_size=2 * width + 6,
                num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads,
                max_position_embeddings=256, rope_parameters=rope, **more)


def cs336(width, layers, heads, inside=None):
    """Settings of a model of the course: four times the width inside, an untied head of 10,000 rows."""
    return dict(vocab_size=10000, hidden_size=width, intermediate_size=inside or 4 * width,
                num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=heads,
                tie_word_embeddings=False)


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}

# name: (model class, config class, settings, what it is for)
MODELS = {
    "gpt2-odd": (GPT2LMHeadModel, GPT2Config,
                 dict(n_embd=36, n_head=3, n_layer=2, n_positions=32, vocab_size=101),
                 "no dimension is a multiple of a vector, tied head"),
    "gpt2-untied": (GPT2LMHeadModel, GPT2Config,
                    dict(n_embd=40, n_head=5, n_layer=3, n_inner=70, n_positions=64, vocab_size=97,
                         tie_word_embeddings=False),
                    "a head of its own, d_ff not 4 d_model"),
    "gpt2-headless": (GPT2Model, GPT2Config,
                      dict(n_embd=24, n_head=1, n_layer=1, n_positions=48, vocab_size=211,
                           layer_norm_epsilon=1e-3),
                      "names without prefix, no head, one layer of one attention head, large epsilon"),
    "gpt2-relu": (GPT2LMHeadModel, GPT2Config,
                  dict(n_embd=64, n_head=2, n_layer=4, n_positions=200, vocab_size=503,
                       activation_function="relu"),
                  "another activation, attention heads of 32, contexts over a tile"),
    "llama-grouped": (LlamaForCausalLM, LlamaConfig, decoder(72, 9, 3, theta=1e5),
                      "nine heads on three of keys, a head of its own"),
    "llama-one-key": (LlamaForCausalLM, LlamaConfig,
                      decoder(40, 8, 1, head_dim=32, tie_word_embeddings=True),
                      "eight heads on one of keys, wider than d_model, a tied head"),
    "llama-3": (LlamaForCausalLM, LlamaConfig,
                decoder(64, 4, 2, layers=3, theta=500000.0, scaling=LLAMA3, head_dim=64),
                "scaled frequencies"),
    "llama-rounded": (LlamaForCausalLM, LlamaConfig,
                      dict(decoder(64, 4, 2, layers=2), vocab_size=300, intermediate_size=160),
                      "weights that fp16 and bf16 hold, whole groups of q8_0"),
    "llama-headless": (LlamaModel, LlamaConfig, decoder(48, 4, 4), "names without prefix, no head"),
    "mistral-small": (MistralForCausalLM, MistralConfig,
                      decoder(48, 4, 2, head_dim=80, sliding_window=None), "head_dim 80"),
    "qwen2-small": (Qwen2ForCausalLM, Qwen2Config, decoder(48, 4, 2), "a bias on q, k and v"),
    "qwen3-small": (Qwen3ForCausalLM, Qwen3Config,
                    decoder(32, 4, 1, theta=1e6, head_dim=128, tie_word_embeddings=True),
                    "norms of q and k, head_dim 128"),
    "distilbert-small": (DistilBertForSequenceClassification, DistilBertConfig,
                         dict(SMALL_DISTILBERT, **SENTIMENT), "sentiment classifier, 32/5/4"),
    "distilbert-headless": (DistilBertModel, DistilBertConfig, SMALL_DISTILBERT,
                            "names without prefix, no head"),
    "distilbert-masked-lm": (DistilBertForMaskedLM, DistilBertConfig, SMALL_DISTILBERT,
                             "a head that is not used"),
    "bert-small": (BertForSequenceClassification, BertConfig, dict(SMALL_BERT, num_labels=3),
                   "classifier of three labels through pooler and tanh"),
    "bert-headless": (BertModel, BertConfig, dict(SMALL_BERT, hidden_act="gelu_new", type_vocab_size=1,
                                                  layer_norm_eps=1e-6),
                      "names without prefix, an unused pooler, tanh GELU, one segment"),
    "bert-masked-lm": (BertForMaskedLM, BertConfig, SMALL_BERT, "a head that is not used, no pooler"),
    "gpt2-small": (GPT2LMHeadModel, GPT2Config, {}, "large: the 124 M shape"),
    "gpt2-medium": (GPT2LMHeadModel, GPT2Config, dict(n_embd=1024, n_layer=24, n_head=16),
                    "large: the 355 M shape"),
    "gpt2-large": (GPT2LMHeadModel, GPT2Config, dict(n_embd=1280, n_layer=36, n_head=20),
                   "large: the 774 M shape"),
    "gpt2-xl": (GPT2LMHeadModel, GPT2Config, dict(n_embd=1600, n_layer=48, n_head=25),
                "large: the 1.6 B shape"),
    "llama-cs336-cpu": (LlamaForCausalLM, LlamaConfig, cs336(512, 4, 16, inside=1344),
                        "large: the model that CS336 trains on a CPU, halves turned"),
    "llama-cs336-small": (LlamaForCausalLM, LlamaConfig, cs336(768, 12, 12), "large: CS336's small, halves turned"),
    "llama-cs336-medium": (LlamaForCausalLM, LlamaConfig, cs336(1024, 24, 16),
                           "large: CS336's medium, halves turned"),
    "llama-135m": (LlamaForCausalLM, LlamaConfig,
                   dict(vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
                        num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192,
                        rope_parameters={"rope_type": "default", "rope_theta": 100000.0}, tie_word_embeddings=True),
                   "large: SmolLM2-135M's shape, weights that fp16 and bf16 hold"),
    "distilbert-base": (DistilBertForSequenceClassification, DistilBertConfig, SENTIMENT,
                        "large: 768/6/12, 30522 words, sentiment classifier"),
}

# of .cache/models/NAME.gguf, which analysis/fetch_decoder.py fetches
REAL = ["smollm2-135m"]

# The frequent words of English that a test sentence is likely to contain.
WORDS = """the of and to a in is it you that he was for on are with as i his they be at one have this
from or had by hot but some what there we can out other were all your when up use word how said an each
she which do their time if will way about many then them would write like so these her long make thing
see him two has look more day could go come did my sound no most number who over know water than call
first people may down side been now find any new work part take get place made live where after back
little only round man year came show every good me give our under name very through just form much great
think say help low line before turn cause same mean differ move right boy old too does tell sentence set
three want air well also play small end put home read hand port large spell add even land here must big
high such follow act why ask men change went light kind off need house picture try us again animal point
mother world near build self earth father movie film bad terrible wonderful love hate boring funny never
always really acting story plot best worst not don t s""".split()

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARACTERS = list("!\"#$%&'()*+,-./0123456789:;<=>?@[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~")


def seed_of(name):
    return zlib.crc32(name.encode())


def vocabulary(size, rng):
    """`size` different WordPiece tokens: special, characters, their continuations, words, then made-up
    syllables, a third of them continuations."""
    tokens = SPECIAL + CHARACTERS + ["##" + c for c in CHARACTERS if c.isalnum()]
    tokens += [w for w in WORDS if len(w) > 1]
    tokens = list(dict.fromkeys(tokens))[:size]
    seen = set(tokens)
    while len(tokens) < size:
        syllables = rng.choices("ba be co di do en er fa ing is la lo ma ne ol pre ra re st ti un ve".split(),
                                k=rng.randint(1, 4))
        token = rng.choice(["", "", "##"]) + "".join(syllables)
        if token not in seen:
            seen.add(token)
            tokens.append(token)
    return tokens


@torch.no_grad()
def randomise(model, seed, small):
    """Norm weights about 1, biases about 0, matrices that keep the size of a row's numbers, so that
    attention is far from uniform; smaller tables, so that a tied head's softmax is not saturated. Where `small`
    says so, every number is one of bf16 and of fp16."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if p.ndim == 1:
            is_norm = name.endswith("weight")
            p.copy_(1 + 0.2 * noise if is_norm else 0.1 * noise)
        elif any(table in name for table in ("wte", "wpe", "embed")):
            p.copy_(0.1 * noise)
        else:
            p.copy_(noise / model.config.hidden_size**0.5)
        if small:
            p.copy_(p.bfloat16().half())


def save_tokenizer(config, folder, rng):
    tokens = vocabulary(config.vocab_size, rng)
    (folder / "vocab.txt").write_text("".join(t + "\n" for t in tokens), encoding="utf-8")
    tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "strip_accents": None,
                 "model_max_length": config.max_position_embeddings}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2) + "\n")


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        pass
    return True


def remove_abandoned(name, out_dir):
    """What killed makers of this model left, by the number in its name."""
    for folder in out_dir.glob(f".{name}.*"):
        pid = folder.name.rpartition(".")[2]
        if pid.isdecimal() and not is_running(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def make(name, out_dir):
    """Beside its place first, so that a directory that was interrupted never looks like a model."""
    model_class, config_class, settings, purpose = MODELS[name]
    remove_abandoned(name, out_dir)
    folder, partial = out_dir / name, out_dir / f".{name}.{os.getpid()}"
    model = model_class(config_class(**settings)).eval()
    randomise(model, seed_of(name), "fp16 and bf16 hold" in purpose)
    model.save_pretrained(partial)
    if model.config.model_type in ("bert", "distilbert"):
        save_tokenizer(model.config, partial, random.Random(seed_of(name)))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    print(folder)


@torch.no_grad()
def make_real(name, out_dir, tare):
    """A trained model, as `tare convert` reads it from a GGUF file beside its place; each matrix rounded to what fp16
    and bf16 both hold, so that the files of all peers are one model."""
    source, partial = out_dir / f"{name}.gguf", out_dir / f".{name}.{os.getpid()}"
    remove_abandoned(name, out_dir)
    if not source.exists():
        sys.exit(f"{source} is not there; python3 analysis/fetch_decoder.py fetches it")
    subprocess.run([tare, "convert", source, partial], check=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(partial, dtype=torch.float32)
    for p in model.parameters():
        p.copy_(p.bfloat16().half())
    model.bfloat16().save_pretrained(partial)
    partial.rename(out_dir / name)
    print(out_dir / name)


def main():
    parser = argparse.ArgumentParser(description="Makes Hugging Face model directories from seeds.")
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR")
    parser.add_argument("--only", choices=[*MODELS, *REAL], metavar="NAME")
    parser.add_argument("--tare", default="build/tare", metavar="PROGRAM", help="for the real ones")
    parser.add_argument("--list", action="store_true", help="print the names, write nothing")
    args = parser.parse_args()
    if args.list:
        for name, (_, _, _, purpose) in MODELS.items():
            print(f"{name:22} {purpose}")
        return
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    small = [name for name, (_, _, _, purpose) in MODELS.items() if not purpose.startswith("large:")]
    if args.only in REAL:
        make_real(args.only, args.out_dir, args.tare)
        return
    for name in [args.only] if args.only else small:
        make(name, args.out_dir)


if __name__ == "__main__":
    main()
