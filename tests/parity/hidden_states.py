"""Hidden states of every layer and the logits of DistilBERT and BERT from `tare dump` against PyTorch in
float64, with and without padding: a report by layer.

    hidden_states.py [--tare PROGRAM] [--only TEXT] [--verbose]

Bounds are those of torch_reference.py. The full-size shape is among the cases.
"""

from torch_reference import Case, arguments, dump, for_each_case

CASES = [
    Case(model, batch, context, mask=mask, targets=False)
    for model in ("distilbert-small", "distilbert-headless", "distilbert-masked-lm", "bert-small",
                  "bert-headless", "bert-masked-lm")
    for batch, context, mask in ((8, 1, ""), (8, 17, ""), (8, 40, "right"), (8, 65, "left"))
] + [
    Case("distilbert-small", 8, 33, mask="right", targets=False, config={"activation": "relu"}),
    Case("bert-small", 8, 33, mask="right", targets=False, config={"hidden_act": "gelu_new"}),
    Case("distilbert-base", 4, 128, mask="right", targets=False),
]


def label(name):
    return name.replace("hidden_states.", "layer ").replace("last_hidden_state", "last")


def check(args, reference, case, out):
    """One line: the error of each layer, and its bound where it is not kept."""
    verdicts = reference.verdicts(dump(args.tare, reference.directory, reference.inputs, out))
    cells = [f"{label(v.name)} {v.error:.1e}" + ("" if v.ok else f" NOT OK, at most {v.bound:.1e}")
             for v in verdicts if v.name != "last_hidden_state" or not v.ok]
    print(f"{case.name}: {', '.join(cells)}", flush=True)
    for v in verdicts if args.verbose else []:
        print(v)
    return sum(not v.ok for v in verdicts)


if __name__ == "__main__":
    for_each_case(arguments(__doc__.splitlines()[0]), CASES, check)
