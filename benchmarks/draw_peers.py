#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Draws what bench_peers.py measured as bars: each peer's time / ours, a chart for each number of threads. The same file, the same SVG.

    draw_peers.py peers.json peers.svg
    draw_peers.py peers.json peers.svg --threads 1 --peers onnxruntime openvino
"""
import argparse
import json
import pathlib
import sys
from xml.sax.saxutils import escape

NAMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "mnn": "MNN", "litert": "LiteRT", "opencv": "OpenCV", "torch": "PyTorch",
         "torch_channels_last": "PyTorch, channels last", "torch_frozen": "PyTorch, frozen", "torch_compile": "PyTorch, compiled"}
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999", "#8f7fb5", "#b8a15a", "#5b8c85")   # told apart by all eyes
BAR, GAP, LEFT, SCALE, MOST, LABEL = 11, 12, 230, 120, 4.0, 130


class Canvas:
    def __init__(self):
        self.lines = []

    def box(self, x, y, width, height, colour):
        self.lines.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>')

    def text(self, x, y, words, size=11, anchor="start", weight="normal", colour="#222"):
        self.lines.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}">{escape(words)}</text>')

    def line(self, x, top, bottom, colour, width=1.0):
        self.lines.append(f'<line x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" stroke="{colour}" stroke-width="{width}"/>')


def milliseconds(value):
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def chart(canvas, top, threads, rows, peers):
    """Returns where the next may begin."""
    canvas.text(10, top + 14, f"{threads} thread{'s' if threads > 1 else ''}: the peer's time / ours (longer bars: the peer is slower)", 13, weight="bold")
    y = first = top + 28
    for row in rows:
        shown = [peer for peer in peers if peer in row["peers"]]
        height = max(2, len(shown)) * BAR
        canvas.text(LEFT - 10, y + height / 2, row["network"], 11, "end", "bold")
        canvas.text(LEFT - 10, y + height / 2 + 13, f"ours {milliseconds(row['ours_ms'])}", 10, "end", colour="#555")
        for i, peer in enumerate(shown):
            ratio = row["peers"][peer] / row["ours_ms"]
            canvas.box(LEFT, y + i * BAR, min(ratio, MOST) * SCALE, BAR - 1.5, COLOURS[peers.index(peer) % len(COLOURS)])
            label = f"{ratio:.2f}{' (cut off)' if ratio > MOST else ''}, {milliseconds(row['peers'][peer])}"
            canvas.text(LEFT + min(ratio, MOST) * SCALE + 4, y + i * BAR + BAR - 3, label, 9, weight="bold" if peer == row["best_peer"] else "normal", colour="#333")
        y += height + GAP
    for mark in range(int(MOST) + 1):
        canvas.line(LEFT + mark * SCALE, first - 4, y - GAP + 4, "#222" if mark == 1 else "#ccc", 1.2 if mark == 1 else 0.6)
        canvas.text(LEFT + mark * SCALE, y + 4, str(mark), 10, "middle")
    return y + 24


def draw(report, threads, peers):
    rows = [row for row in report["rows"] if row["ours_ms"] is not None and row["peers"]]
    peers = [peer for peer in peers or dict.fromkeys(peer for row in rows for peer in row["peers"]) if any(peer in row["peers"] for row in rows)]
    canvas, y = Canvas(), 24
    machine = report.get("machine", {})
    canvas.text(10, y, f"Measured on {machine.get('processor', 'an unknown processor')}, {machine.get('processors', '?')} processors, {report.get('flags', {}).get('instruction_set')}{', all limited to ' + machine['limited_to'] if 'limited_to' in machine else ''}; f32, batch of 1, least {report.get('flags', {}).get('compared', 'wall time')}", 11)
    y += 12
    x = 10
    for i, peer in enumerate(peers):
        words = NAMES.get(peer, peer) + " " + str(report.get("flags", {}).get("versions", {}).get(peer, "")).split("+")[0]
        if x + 20 + 6.2 * len(words) > LEFT + MOST * SCALE + LABEL:
            x, y = 10, y + 16
        canvas.box(x, y, 10, 10, COLOURS[i % len(COLOURS)])
        canvas.text(x + 14, y + 9, words, 10)
        x += 26 + 6.2 * len(words)
    y += 26
    for count in threads or sorted({row["threads"] for row in rows}):
        y = chart(canvas, y, count, [row for row in rows if row["threads"] == count], peers) + 8
    width = LEFT + MOST * SCALE + LABEL
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {y:.0f}" width="{width:.0f}" height="{y:.0f}" font-family="sans-serif">',
                      f'<rect width="{width:.0f}" height="{y:.0f}" fill="#ffffff"/>', *canvas.lines, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path, help="what bench_peers.py --json wrote")
    parser.add_argument("picture", type=pathlib.Path, help="the SVG file")
    parser.add_argument("--threads", nargs="+", type=int, metavar="N", help="only these charts")
    parser.add_argument("--peers", nargs="+", metavar="PEER", help="only these")
    arguments = parser.parse_args()
    try:
        report = json.loads(arguments.results.read_text(encoding="utf-8"))
        arguments.picture.write_text(draw(report, arguments.threads, arguments.peers), encoding="utf-8")
    except (OSError, ValueError, KeyError) as problem:
        print(f"draw_peers: {problem if isinstance(problem, OSError) else f'{arguments.results} is not what bench_peers.py writes: {problem!r}'}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
