# SPDX-License-Identifier: MIT
"""Line charts as plain SVG, both axes logarithmic, readable on light and dark pages.

  python bench/plot.py RESULTS FOLDER       scaling.json of bench/scaling.py -> FOLDER/scale-*.svg

Written by hand: three charts do not need a plotting library, and the files stay small and diffable."""
import json
import math
import pathlib
import sys

WIDTH, HEIGHT = 660, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 152, 40, 48
LIGHT, DARK = ["#0b62c4", "#c2410c", "#777777", "#15803d", "#a16207"], ["#6cb6ff", "#ff9b5e", "#aaaaaa", "#6fdd8b", "#e3c04d"]


def colours(of):
    return " ".join(f".s{i} polyline {{ stroke: {c} }} .s{i} circle, .s{i} text {{ fill: {c} }}" for i, c in enumerate(of))


STYLE = f"""<style>
text {{ font: 12px sans-serif; fill: #333333 }} .title {{ font-size: 14px; font-weight: bold }}
.grid {{ stroke: #888888; stroke-opacity: 0.25 }} polyline.axis {{ stroke: #888888; stroke-width: 1 }}
polyline {{ fill: none; stroke-width: 2 }} .s2 polyline {{ stroke-dasharray: 5 4 }}
{colours(LIGHT)}
@media (prefers-color-scheme: dark) {{ text {{ fill: #dddddd }} {colours(DARK)} }}
</style>"""


def ticks(low, high):
    """1, 2, 5 times powers of ten inside a range, with its ends rounded outwards."""
    all_of_them = [m * 10.0 ** e for e in range(-6, 9) for m in (1, 2, 5)]
    below = [t for t in all_of_them if t <= low * 1.001][-1]
    above = [t for t in all_of_them if t >= high * 0.999][0]
    return [t for t in all_of_them if below <= t <= above]


def number(v):
    return f"{v:,.0f}" if v >= 10 else f"{v:g}"


def chart(title, x_name, y_name, x, series, x_labels=None):
    """series: {name: values}, one value (or None) per x; a name that starts with "limit" is dashed."""
    values = [v for ys in series.values() for v in ys if v]
    y_ticks = ticks(min(values), max(values))
    x0, x1, y0, y1 = x[0], x[-1], y_ticks[0], y_ticks[-1]

    def px(v):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(v / x0) / math.log(x1 / x0)

    def py(v):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log(v / y0) / math.log(y1 / y0)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
           f'role="img" aria-label="{title}">', STYLE, f'<text class="title" x="{LEFT}" y="20">{title}</text>']
    for t in y_ticks:
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{py(t):.1f}" y2="{py(t):.1f}"/>'
                   f'<text x="{LEFT - 6}" y="{py(t) + 4:.1f}" text-anchor="end">{number(t)}</text>')
    for i, v in enumerate(x):
        label = x_labels[i] if x_labels else number(v)
        out.append(f'<line class="grid" x1="{px(v):.1f}" x2="{px(v):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
                   f'<text x="{px(v):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{label}</text>')
    out.append(f'<polyline class="axis" stroke-width="1" points="{LEFT},{TOP} {LEFT},{HEIGHT - BOTTOM} '
               f'{WIDTH - RIGHT},{HEIGHT - BOTTOM}"/>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{x_name}</text>')
    out.append(f'<text x="14" y="{(TOP + HEIGHT - BOTTOM) / 2:.0f}" text-anchor="middle" '
               f'transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2:.0f})">{y_name}</text>')
    kinds, last = iter((0, 1, 3, 4)), []
    for name, ys in series.items():
        kind = 2 if name.startswith("limit") else next(kinds)
        points = [(px(a), py(b)) for a, b in zip(x, ys) if b]
        out.append(f'<g class="s{kind}"><polyline points="' + " ".join(f"{a:.1f},{b:.1f}" for a, b in points) + '"/>')
        if kind != 2:
            out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in points]
        out.append("</g>")
        last.append([points[-1][1], points[-1][0], name, kind])
    at = -100.0
    for y, end, name, kind in sorted(last):                  # labels beside the line ends, never on each other
        at = max(y, at + 15)
        out.append(f'<g class="s{kind}"><text x="{end + 8:.1f}" y="{at + 4:.1f}">{name}</text></g>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def draw(result, folder):
    """The charts of a scaling result; returns the names of the files."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for key, r in result["charts"].items():
        (folder / f"scale-{key}.svg").write_text(chart(r["title"], r["x_name"], r["y_name"], r["x"], r["series"],
                                                       r.get("x_labels")))
    return [f"scale-{key}.svg" for key in result["charts"]]


if __name__ == "__main__":
    print(*draw(json.loads(pathlib.Path(sys.argv[1]).read_text()), sys.argv[2]))
