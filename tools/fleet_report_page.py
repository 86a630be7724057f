# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""A page of headings, sentences, tables and line charts, as one HTML file that refers to nothing else, and as Markdown without the charts.

    page = Page("A heading")
    page.text("A sentence.")
    page.table(("interval", "ms"), [("7.5", "113.8")])
    page.chart("Latency", "interval in ms", "ms", {"FLEET": [(7.5, 113.8), (15, 116.2)]})
    page.html(), page.markdown()
"""
import html
import math

COLOURS = ("#1b6ca8", "#c8553d", "#2a9d4a", "#8e44ad", "#b8860b", "#17838f", "#d1478c", "#555555")
STYLE = """body{font:15px/1.5 sans-serif;color:#222;background:#fff;max-width:900px;margin:2em auto;padding:0 1em}
h1{font-size:1.5em}h2{font-size:1.2em;margin-top:2em}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.87em;margin:1em 0}
th,td{border-bottom:1px solid #ddd;padding:.25em .6em;text-align:right}th:first-child,td:first-child{text-align:left}svg{max-width:100%;height:auto}"""


def ticks(low, high, most=7):
    """Round numbers from low to high, about as many as asked."""
    raw = (high - low) / most or 1.0
    step = 10.0 ** math.floor(math.log10(raw))
    step *= next(m for m in (1, 2, 5, 10) if m * step >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [(first + i) * step for i in range(most + 2) if (first + i) * step <= high + 1e-9 * step]


def chart_svg(title, x_label, y_label, series, from_zero):
    """Lines with marks, linear axes. `series`: {name: [(x, y), ...]}; those without points are left out."""
    series = {name: sorted(set(points)) for name, points in series.items() if points}
    left, right, top, bottom, width = 64, 560, 44, 330, 820
    points = [p for line in series.values() for p in line]
    x0, x1 = min(p[0] for p in points), max(p[0] for p in points)
    y0, y1 = 0 if from_zero else min(p[1] for p in points), max(p[1] for p in points)
    x1, room = (x1 if x1 > x0 else x0 + 1), 0.06 * (y1 - y0) or 1.0
    y0, y1 = (y0 if from_zero else y0 - room), y1 + room

    def at(x, y):
        return left + (x - x0) / (x1 - x0) * (right - left), bottom - (y - y0) / (y1 - y0) * (bottom - top)

    def words(x, y, content, anchor="start"):
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(content)}</text>'

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 54}" font-family="sans-serif" font-size="12" fill="#222" role="img" '
           f'aria-label="{html.escape(title)}">', '<rect width="100%" height="100%" fill="#fff"/>', words(left, 18, title)]
    for x in ticks(x0, x1):
        out += [f'<path d="M{at(x, y0)[0]:.1f} {top}V{bottom}" stroke="#ddd"/>', words(at(x, y0)[0], bottom + 18, f"{x:g}", "middle")]
    for y in ticks(y0, y1):
        out += [f'<path d="M{left} {at(x0, y)[1]:.1f}H{right}" stroke="#ddd"/>', words(left - 8, at(x0, y)[1] + 4, f"{y:g}", "end")]
    out += [words((left + right) / 2, bottom + 40, x_label, "middle"), words(left - 8, top - 10, y_label)]
    for i, (name, line) in enumerate(series.items()):
        colour, row = COLOURS[i % len(COLOURS)], top + 10 + 20 * i
        path = "L".join("{:.1f} {:.1f}".format(*at(*p)) for p in line)
        out += [f'<path d="M{path}" stroke="{colour}" stroke-width="2" fill="none"/>']
        out += ['<circle cx="{:.1f}" cy="{:.1f}" r="3.5" fill="{}"/>'.format(*at(*p), colour) for p in line]
        out += [f'<circle cx="{right + 26}" cy="{row - 4}" r="5" fill="{colour}"/>', words(right + 38, row, name)]
    return "\n".join([*out, "</svg>"])


class Page:
    def __init__(self, title):
        self.title, self.parts = title, []

    def heading(self, content):
        self.parts.append((f"<h2>{html.escape(content)}</h2>", f"## {content}"))

    def text(self, content):
        self.parts.append((f"<p>{html.escape(content)}</p>", content))

    def table(self, header, rows):
        def row(cells, tag):
            return "<tr>" + "".join(f"<{tag}>{html.escape(str(c))}</{tag}>" for c in cells) + "</tr>"
        shown = "\n".join([row(header, "th"), *(row(r, "td") for r in rows)])
        plain = [" | ".join(str(c).replace("|", "\\|") for c in r) for r in (header, ("---",) * len(header), *rows)]
        self.parts.append((f'<div class="wide"><table>\n{shown}\n</table></div>', "\n".join(f"| {line} |" for line in plain)))

    def chart(self, title, x_label, y_label, series, from_zero=True):
        if any(series.values()):
            self.parts.append((chart_svg(title, x_label, y_label, series, from_zero), ""))

    def html(self):
        body = "\n".join(shown for shown, _ in self.parts)
        return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
                f"<title>{html.escape(self.title)}</title>\n<style>{STYLE}</style></head>\n<body>\n<h1>{html.escape(self.title)}</h1>\n{body}\n</body></html>\n")

    def markdown(self):
        return "\n\n".join([f"# {self.title}", *(plain for _, plain in self.parts if plain)]) + "\n"
