"""Stage 4b of the analysis: numbers become small inline SVG charts.

Its one idea: two kinds of chart, lines and bars, drawn 340 units wide so that a page can set them
side by side or below each other without shrinking the text. Colours are CSS classes (the page owns
light and dark); markers, hatches and labels repeat what colour says. It knows no columns.
"""

import math
from html import escape

from table import digits

# Okabe and Ito's colour-blind safe hues, darkened for white paper and lightened for a dark page.
LIGHT = ["#0072b2", "#d55e00", "#00805e", "#a8508f", "#7d6200", "#4d4d4d"]
DARK = ["#56b4e9", "#ff9d5c", "#3ccfa4", "#e39fce", "#e8cd4f", "#c9c9c9"]

WIDTH = 340
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 10, 38


def css():
    """The colours of the series as classes s0, s1, ...; report.css has the rules that use them."""
    light, dark = (
        "".join(f".s{i}{{--c:{colour}}}" for i, colour in enumerate(colours))
        for colours in (LIGHT, DARK)
    )
    return f"{light}\n@media (prefers-color-scheme: dark){{{dark}}}\n"


def definitions():
    """Once in a page: the hatch that the second part of a bar wears."""
    return (
        '<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>'
        '<pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><path d="M0 0V7"/></pattern></defs></svg>'
    )


def marker(x, y, i, hollow=False, size=4.0, title=""):
    """Mark number i: circle, square, triangle, diamond, wedge, cross."""
    s = size
    shapes = [
        f"M{x - s:.1f} {y:.1f}a{s} {s} 0 1 0 {2 * s} 0a{s} {s} 0 1 0 {-2 * s} 0Z",
        f"M{x - s:.1f} {y - s:.1f}h{2 * s}v{2 * s}h{-2 * s}Z",
        f"M{x:.1f} {y - s - 1:.1f}l{s + 1} {2 * s}h{-2 * s - 2}Z",
        f"M{x:.1f} {y - s - 1:.1f}l{s + 1} {s + 1}l{-s - 1} {s + 1}l{-s - 1} {-s - 1}Z",
        f"M{x:.1f} {y + s + 1:.1f}l{s + 1} {-2 * s}h{-2 * s - 2}Z",
        f"M{x - s:.1f} {y - s:.1f}l{2 * s} {2 * s}m0 {-2 * s}l{-2 * s} {2 * s}Z",
    ]
    hover = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<path class="mark s{i % len(LIGHT)}{" hollow" if hollow else ""}" '
        f'd="{shapes[i % len(shapes)]}">{hover}</path>'
    )


def legend(entries):
    """HTML: (text, series number, hollow), each with its mark."""
    items = [
        f'<li><svg class="key" viewBox="0 0 14 14" aria-hidden="true">{marker(7, 7, i, hollow)}'
        f"</svg>{escape(text)}</li>"
        for text, i, hollow in entries
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'


class Scale:
    """Maps values to pixels; logarithmic where high / low exceeds log_span, from zero otherwise."""

    def __init__(self, values, start, end, log_span, ticks=None):
        low, high = min(values), max(values)
        self.log = low > 0 and high / low > log_span
        pad = (high / low) ** 0.06 if self.log else 1
        self.low, self.high = (low / pad, high * pad) if self.log else (0, high * 1.06 or 1)
        self.start, self.end = start, end
        self.ticks = [t for t in ticks or self._ticks() if self.low <= t <= self.high]

    def __call__(self, value):
        def f(v):
            return math.log(v) if self.log else v

        part = (f(value) - f(self.low)) / (f(self.high) - f(self.low))
        return self.start + part * (self.end - self.start)

    def _ticks(self):
        if not self.log:
            step = _nice(self.high / 4)
            return [step * i for i in range(6)]
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1,) if self.high / self.low > 300 else (1, 2, 5)
        if self.high / self.low < 4:
            steps = (1, 1.5, 2, 3, 4, 5, 7)
        return [m * 10.0**e for e in decades for m in steps]


def _nice(step):
    power = 10.0 ** math.floor(math.log10(step))
    return power * next(m for m in (1, 2, 2.5, 5, 10) if m * power >= step)


def run_ticks(last):
    """Ticks of an axis that counts runs from 1."""
    step = next(m * 10**e for e in range(9) for m in (1, 2, 5) if m * 10**e * 8 >= last)
    return sorted({1, *range(max(step, 2), last + 1, step)})


def beside(which, count):
    """How far the marks of line `which` stand beside a run's tick: no line hides another."""
    return (which - (count - 1) / 2) * 0.7 / count


def lines(
    title, series, x_label, y_label, height=230, x_ticks=None, x_log_span=math.inf, y_log_span=8
):
    """series: list of (number, end label, [(x, y, hollow, hover)]); x from 1 unless logarithmic."""
    points = [p for _, _, line in series for p in line]
    ends = max(len(label) for _, label, _ in series) * 6.2
    ends = (
        ends if ends < WIDTH / 3 else 0
    )  # too long to stand beside the chart; the legend has them
    right = WIDTH - RIGHT - ends
    x = Scale([p[0] for p in points], LEFT, right, x_log_span, x_ticks)
    if not x.log:
        x.low, x.high = 0.5, max(p[0] for p in points) + 0.5
    y = Scale([p[1] for p in points], height - BOTTOM, TOP, y_log_span)
    parts = [_y_axis(y, right, y_label, height), _x_axis(x, x_label, height)]
    longest = max(len(line) for _, _, line in series)
    size = 4.0 if longest <= 8 else 3.0 if longest <= 40 else 1.5
    for number, _, line in series:
        path = " ".join(f"{x(p[0]):.1f},{y(p[1]):.1f}" for p in line)
        parts.append(f'<polyline class="line s{number % len(LIGHT)}" points="{path}"/>')
        parts += [marker(x(p[0]), y(p[1]), number, p[2], size, p[3]) for p in line]
    if ends:
        parts += _end_labels([(label, x(line[-1][0]), y(line[-1][1])) for _, label, line in series])
    return _chart(title, height, parts)


def _end_labels(labels, gap=12):
    """Labels right of the lines' ends, pushed apart where they would overlap."""
    parts, above = [], -math.inf
    for label, x, y in sorted(labels, key=lambda each: each[2]):
        above = max(y, above + gap)
        parts.append(f'<text x="{x + 9:.1f}" y="{above + 4:.1f}">{escape(label)}</text>')
    return parts


def _y_axis(y, right, label, height):
    parts = []
    for tick in y.ticks:
        parts.append(
            f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{right:.1f}"/>'
            f'<text class="tick end" x="{LEFT - 6}" y="{y(tick) + 4:.1f}">{digits(tick)}</text>'
        )
    text = f"{label}, log scale" if y.log else label
    middle = (TOP + height - BOTTOM) / 2
    parts.append(
        f'<text class="middle tick" transform="translate(11 {middle:.0f}) rotate(-90)">'
        f"{escape(text)}</text>"
    )
    return "".join(parts)


def _x_axis(x, label, height):
    base = height - BOTTOM
    parts = [f'<path class="axis" d="M{LEFT} {base}H{x.end:.1f}"/>']
    for tick in x.ticks:
        parts.append(
            f'<text class="tick middle" x="{x(tick):.1f}" y="{base + 15}">{digits(tick)}</text>'
        )
    text = f"{label}, log scale" if x.log else label
    parts.append(
        f'<text class="tick middle" x="{(LEFT + x.end) / 2:.1f}" y="{base + 31}">'
        f"{escape(text)}</text>"
    )
    return "".join(parts)


def bars(title, rows):
    """Horizontal bars from zero, their label above and their value in words at the right.

    rows: list of (label, value text, [(value, series number, hatched)], tick or None); a tick is an
    upright line across the bar."""
    sums = [sum(value for value, _, _ in parts) for _, _, parts, _ in rows]
    highest = max(sums + [tick for _, _, _, tick in rows if tick is not None]) or 1
    unit, step = (WIDTH - 8) / highest, 36
    height = step * len(rows) + 4
    out = []
    for at, (label, text, parts, tick) in enumerate(rows):
        y, x = at * step + 16, 2.0
        out.append(
            f'<text x="2" y="{y - 4}">{escape(label)}</text>'
            f'<text class="end" x="{WIDTH - 2}" y="{y - 4}">{escape(text)}</text>'
        )
        for value, number, hatched in parts:
            box = f'x="{x:.1f}" y="{y}" width="{value * unit:.1f}" height="13"'
            out.append(f'<rect class="bar s{number % len(LIGHT)}" {box}/>')
            out.append(f'<rect class="hatch" {box}/>' if hatched else "")
            x += value * unit
        if tick is not None:
            out.append(f'<path class="tickmark" d="M{2 + tick * unit:.1f} {y - 2}v17"/>')
    return _chart(title, height, out)


def _chart(title, height, parts):
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f'{"".join(parts)}</svg></figure>'
    )
