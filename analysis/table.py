"""Stage 1 of the analysis: a result file becomes a checked table.

Its one idea: a result is read strictly, once, here. Whoever holds a Table may trust its types: rows
that ran have whole numbers, finite times and a mean; everything else is in `rest`, with a status.
It does not average, judge or draw.
"""

import csv
import dataclasses
import io
import math
import os
import signal
import sys
import tempfile


def missing_module(name):
    requirements = os.path.join(os.path.dirname(os.path.abspath(__file__)), "requirements.txt")
    print(
        f"error: the Python module '{name}' is missing; install it with: "
        f"{sys.executable} -m pip install -r {requirements}",
        file=sys.stderr,
    )
    sys.exit(2)


try:
    import pandas as pd
except ImportError:
    missing_module("pandas")

WHOLE = [
    "d_model",
    "context_length",
    "num_layers",
    "num_heads",
    "batch_size",
    "num_warmups",
    "num_trials",
]
TIMES = ["mean_time_ms", "std_time_ms"]
REFERENCE = ["model_size", *WHOLE, "forward_only", *TIMES]
OPTIONAL_NUMBERS = [
    "median_ms",
    "first_trial_ms",
    "first_over_steady",
    "forward_ms",
    "backward_ms",
    "optimizer_ms",
    "num_params",
    "peak_fraction",
    "predicted_peak_bytes",
    "peak_rss_bytes",
    "warmups_needed",
    "cpu_wait",
    "threads_seen",
    "peak_gflops_per_s",
]
# What may differ between rows of one model_size; a series is named after those that do.
EXTRA_KEYS = [
    "arch",
    "d_model",
    "num_layers",
    "num_heads",
    "batch_size",
    "precision",
    "threads",
    "recompute",
    "optimizer",
    "gemm",
    "vocab_size",
    "seed",
]
# The same between rows of one model_size and arch.
SHAPE_KEYS = ["d_ff", "num_kv_heads", "head_dim", "rope_theta", "norm_eps", "tied_head", "qk_norm", "qkv_bias"]
DESCRIBES_MACHINE = ["cpu_model", "isa", "blas", "threads", "git_commit"]


class Problem(Exception):
    """The world's fault, told in one finished sentence; main prints it and exits with 2."""


@dataclasses.dataclass
class Table:
    path: str
    ran: pd.DataFrame  # rows whose figures count: status ok, or no status column and a mean
    rest: pd.DataFrame  # all others, as text, with `status` and `status_reason`
    samples: pd.DataFrame | None = None  # row_id, run (1, 2, ..., warmups too), is_warmup, ms

    @property
    def name(self):
        return os.path.splitext(os.path.basename(self.path))[0]


def _whole_texts(path, frame):
    """Without rows of prefill and decode, whose times are of another kind."""
    if "task" not in frame:
        return frame
    others = frame["task"].isin(["prefill", "decode"])
    if others.all():
        raise Problem(f"{path} has rows of prefill and decode only; reports are of whole texts")
    if others.any():
        warn(f"{path}: {count(int(others.sum()), 'row')} of prefill and decode left out")
    return frame[~others]


def load(path, with_samples=False):
    """Reads FILE.csv, and FILE.samples.csv beside it where that is wanted and there."""
    frame = _read_text(path, REFERENCE)
    if frame.empty:
        raise Problem(f"{path} has a header but no rows")
    frame = _whole_texts(path, frame)
    has_status = "status" in frame
    if not has_status:
        frame["status"] = frame["mean_time_ms"].map(lambda mean: "ok" if mean else "no time")
    if "status_reason" not in frame:
        frame["status_reason"] = ""
    ok = frame["status"] == "ok"
    ran = frame[ok].copy()
    for column in WHOLE:
        parse = _whole if column == "num_warmups" else _size
        ran[column] = _convert(path, ran, column, parse).astype("int64")
    for column in TIMES + [c for c in OPTIONAL_NUMBERS if c in frame]:
        ran[column] = _convert(path, ran, column, _number).astype("float64")
    ran["forward_only"] = _convert(path, ran, "forward_only", _boolean).astype(bool)
    timeless = ran[~(ran["mean_time_ms"] > 0)]
    if not timeless.empty:
        raise Problem(
            f"{path}: line {timeless['line'].iloc[0]}: the status is ok but mean_time_ms is "
            "empty or 0"
        )
    table = Table(path, _name_rows(ran), frame[~ok].copy())
    if with_samples:
        table.samples = _load_samples(path, ran)
    return table


def row_name(row):
    """The name `tare sweep --filter` matches: small/128/fwdbwd/w5. Works on text and typed rows."""
    mode = "fwd" if str(row["forward_only"]) == "True" else "fwdbwd"
    return f"{row['model_size']}/{row['context_length']}/{mode}/w{row['num_warmups']}"


def mode_name(forward_only):
    return "forward" if forward_only else "forward + backward"


def digits(value, count=3):
    """A number for people: that many significant digits, never an exponent for common sizes."""
    return f"{float(f'{value:.{count}g}'):.12g}"


def show_ms(ms):
    """A time for people: three significant digits and a unit."""
    for limit, scale, unit in ((1, 1000, "us"), (1000, 1, "ms")):
        if ms < limit:
            return f"{digits(ms * scale)} {unit}"
    return f"{digits(ms / 1000)} s"


def count(number, noun):
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _name_rows(ran):
    """Adds `name`, and `series`: the model and whatever else the sweep varied."""
    kinds = ["model_size", "arch"] if "arch" in ran else ["model_size"]
    varied = [c for c in EXTRA_KEYS if c in ran and ran.groupby("model_size")[c].nunique().max() > 1]
    varied += [c for c in SHAPE_KEYS if c in ran and ran.groupby(kinds)[c].nunique().max() > 1]
    ran["name"] = [row_name(row) for _, row in ran.iterrows()]
    ran["series"] = ran["model_size"]
    for column in varied:
        extra = ran[column].astype(str)
        extra = extra if column in ("arch", "precision", "optimizer") else column + " " + extra
        ran["series"] += ", " + extra
        ran["name"] += ", " + extra
    return ran


def _read_text(path, required):
    """The file as text cells plus `line`, the line each record ends on."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            text = file.read()
    except UnicodeDecodeError:
        raise Problem(f"{path} is not a CSV file: it is not UTF-8 text") from None
    except OSError as e:
        raise Problem(f"cannot read {path}: {e.strerror}") from None
    if not text.strip():
        raise Problem(f"{path} is empty")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    whole_end = text.endswith(("\n", "\r"))
    try:
        header = next(reader)
        absent = [c for c in required if c not in header]
        if absent:
            raise Problem(f"{path} is not a result file: its header lacks {', '.join(absent)}")
        if len(set(header)) < len(header):
            raise Problem(f"{path}: a column name appears twice in the header")
        records = [[*record, reader.line_num] for record in reader if record]
    except csv.Error as e:
        raise Problem(f"{path}: line {reader.line_num}: {e}") from None
    if records and not whole_end:
        records = _mend_end(path, header, records)
    for record in records:
        if len(record) != len(header) + 1:
            raise Problem(
                f"{path}: line {record[-1]}: {len(record) - 1} fields where the header "
                f"has {len(header)}"
            )
    return pd.DataFrame(records, columns=[*header, "line"], dtype=object)


def _mend_end(path, header, records):
    """A killed writer leaves a last line without its end: dropped when fields are missing."""
    if len(records[-1]) <= len(header):
        warn(f"{path}: the last line is cut short and was left out")
        return records[:-1]
    warn(f"{path}: the last line has no line end; its last figure may be cut short")
    return records


def _convert(path, frame, column, parse):
    def one(cell, line):
        try:
            return parse(cell)
        except (ValueError, OverflowError) as e:
            shown = cell if len(cell) <= 40 else cell[:40] + "..."
            raise Problem(f"{path}: line {line}: {column} is {shown!r}, not {e.args[0]}") from None

    cells = [one(cell, line) for cell, line in zip(frame[column], frame["line"])]
    return pd.Series(cells, index=frame.index, dtype=object)


def _whole(cell):
    try:
        value = float(cell)
    except ValueError:
        raise ValueError("a whole number") from None
    if not 0 <= value < 2**53 or value != math.floor(value):
        raise ValueError("a whole number")
    return int(value)


def _size(cell):
    if (value := _whole(cell)) == 0:
        raise ValueError("a whole number from 1 up")
    return value


def _number(cell):
    """A number that is 0 or within reason, so that no square overflows; empty is missing."""
    if cell == "":
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        raise ValueError("a number") from None
    if not (value == 0 or 1e-9 <= value <= 1e30):
        raise ValueError("0 or a number from 1e-9 to 1e30")
    return value


def _boolean(cell):
    if cell not in ("True", "False"):
        raise ValueError("True or False")
    return cell == "True"


def _load_samples(path, ran):
    stem = path[:-4] if len(path) > 4 and path.endswith(".csv") else path
    beside = stem + ".samples.csv"
    if "row_id" not in ran or not os.path.exists(beside):
        return None
    frame = _read_text(beside, ["row_id", "trial", "is_warmup", "wall_ns"])
    frame["is_warmup"] = _convert(beside, frame, "is_warmup", _boolean).astype(bool)
    frame["ms"] = _convert(beside, frame, "wall_ns", _number).astype("float64") / 1e6
    frame["run"] = _convert(beside, frame, "trial", _whole).astype("int64")
    frame = frame[frame["row_id"].isin(ran["row_id"]) & (frame["ms"] > 0)]
    return frame[["row_id", "run", "is_warmup", "ms"]]


def warn(sentence):
    print(f"warning: {sentence}", file=sys.stderr)


def print_text(text):
    """Writes to stdout in one go; what cannot be written is a Problem, not a traceback."""
    try:
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.flush()
    except AttributeError:
        raise Problem("cannot write to stdout: it is closed") from None
    except OSError as e:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Problem(f"cannot write to stdout: {e.strerror}") from None


def _is_stream(path):
    """Whether bytes are added to what is there: a device, a pipe, or the file that is stdout."""
    if not os.path.exists(path):
        return False
    try:
        return not os.path.isfile(path) or os.path.samestat(os.stat(path), os.fstat(1))
    except OSError:
        return False


def add_overwrite(parser):
    parser.add_argument("--overwrite", action="store_true", help="replace what exists")


def check_new(path, overwrite):
    """The rule of existing files, that of model/files/paths.h: refused unless `overwrite`."""
    if os.path.exists(path) and not overwrite and not _is_stream(path):
        raise Problem(f"'{path}' exists; replace it with --overwrite")


def make_folder(folder):
    """Makes a folder whose parent is there. A link to nothing yet is its target."""
    if os.path.isdir(folder):
        return
    try:
        os.mkdir(os.path.realpath(folder))
    except OSError as e:
        parent = os.path.dirname(folder.rstrip("/"))
        why = f"there is no folder '{parent}'" if parent and not os.path.exists(parent) else e.strerror
        raise Problem(f"cannot create '{folder}': {why}") from None


def write_file(path, data):
    """Writes a whole file or none: beside it first, then renamed. A stream is written directly."""
    target = os.path.realpath(path)  # a link stays one
    temporary = None
    try:
        if _is_stream(path):
            with open(path, "ab") as file:
                file.write(data)
            return
        with tempfile.NamedTemporaryFile("wb", dir=os.path.dirname(target), delete=False) as file:
            temporary = file.name
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except OSError as e:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise Problem(f"cannot write '{path}': {e.strerror}") from None


def write_figure(path, figure):
    """Writes a figure of matplotlib in the format that the name says."""
    drawn = io.BytesIO()
    try:
        figure.savefig(drawn, format=os.path.splitext(path)[1][1:] or "png")
    except ValueError as e:
        raise Problem(f"cannot write '{path}': {e}") from None
    write_file(path, drawn.getvalue())


def run_main(main):
    """Runs a command: a Problem is one line and exit 2; a closed pipe or Ctrl-C ends quietly."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        sys.exit(main())
    except Problem as e:
        print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
