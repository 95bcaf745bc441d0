"""Loss, logits, hidden states and every parameter's gradient of `tare dump` against PyTorch in float64, on
Hugging Face checkpoints of odd shapes and of the 124 M shape.

    gradients.py [--tare PROGRAM] [--only TEXT] [--verbose]

Every instruction set of this machine and both matrix products must stay within the bounds of
torch_reference.py; every way of recomputing and every number of threads must give the same file.
"""

from torch_reference import Case, arguments, dump, for_each_case, report

# A ReLU only without gradients: where a sum is zero but for rounding, one side of its kink is as right
# as the other, and the gradients differ by far more than rounding.
CASES = [
    Case("gpt2-odd", 3, 17),
    Case("gpt2-odd", 3, 17, ignored=0.3),
    Case("gpt2-odd", 3, 17, mask="right"),
    Case("gpt2-odd", 3, 17, mask="left", ignored=0.3),
    Case("gpt2-odd", 1, 1),
    Case("gpt2-odd", 2, 32),
    Case("gpt2-untied", 3, 17),
    Case("gpt2-untied", 2, 64, mask="right", ignored=0.5),
    Case("gpt2-untied", 5, 33, mask="left"),
    Case("gpt2-headless", 2, 48, targets=False),
    Case("gpt2-relu", 2, 150, mask="left", targets=False),
    Case("gpt2-relu", 2, 150, config={"activation_function": "gelu"}),
    Case("gpt2-relu", 1, 77, config={"activation_function": "tanh"}),
    Case("gpt2-relu", 2, 200, mask="right", config={"activation_function": "gelu_new"}),
    Case("llama-grouped", 3, 17, mask="right", ignored=0.3),
    Case("llama-grouped", 2, 70),
    Case("llama-one-key", 3, 33, mask="left"),
    Case("llama-one-key", 1, 200),  # one task of attention, on which all threads work together
    # Reading the row of padding gives it no gradient, a tied head does; one of these ids is 7.
    Case("llama-one-key", 3, 70, config={"pad_token_id": 7}),
    Case("llama-grouped", 3, 70, config={"pad_token_id": 7}),
    Case("llama-3", 2, 129, ignored=0.2),
    Case("llama-headless", 2, 31, targets=False),
    Case("mistral-small", 3, 21, mask="right"),
    Case("qwen2-small", 3, 45, mask="left", ignored=0.3),
    Case("qwen3-small", 2, 50),
    # Batches of eight: of the few logits of a small one PyTorch's fp32 can get nearly all bits right.
    Case("distilbert-small", 8, 40, mask="right"),
    Case("bert-small", 8, 21, mask="left"),
    Case("gpt2-small", 2, 64, mask="right", ignored=0.2),
]

WAYS = [
    {"TARE_ISA": "generic"},
    {"TARE_ISA": "avx2"},
    {"TARE_ISA": "avx512"},
    {"TARE_GEMM": "openblas"},
]


def lacks(message):
    return "lacks instruction set" in message or "is not in this build" in message


def check_bounds(args, reference, case, out):
    """How many tensors are out of their bound, over all ways of computing that this machine has."""
    bad = 0
    for way in WAYS:
        name = f"{case.name}, {' '.join(way.values())}"
        try:
            got = dump(args.tare, reference.directory, reference.inputs, out, **way)
        except RuntimeError as error:
            if not lacks(str(error)):
                raise
            print(f"{name}: skipped, {error}")
            continue
        bad += report(name, reference.verdicts(got), args.verbose)
    return bad


def check_same(args, reference, case, out):
    """Recomputation and threads: 1 if any of them changes a bit of the file."""
    options = [["--recompute", "none", "--threads", "1"], ["--recompute", "auto", "--threads", "2"],
               ["--recompute", "block", "--threads", "2"], ["--recompute", "block:2", "--threads", "1"],
               ["--recompute", "cheap", "--threads", "1"]]
    files = []
    for option in options:
        dump(args.tare, reference.directory, reference.inputs, out, *option)
        files.append(out.read_bytes())
    same = all(file == files[0] for file in files)
    print(f"{case.name}: recomputation and threads {'change nothing' if same else 'CHANGE THE RESULT'}")
    return int(not same)


def check(args, reference, case, out):
    return check_bounds(args, reference, case, out) + check_same(args, reference, case, out)


if __name__ == "__main__":
    for_each_case(arguments(__doc__.splitlines()[0]), CASES, check)
