# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""What tools/gpu_check.sh measured, as one file and as tables for docs/performance.md.

    python3 tools/gpu_report.py collect FOLDER OUT          called after every step: FOLDER/steps and FOLDER/*.json to OUT/check.json and OUT/tables.md
    python3 tools/gpu_report.py tables CHECK.json...        tables of several calls, each of which ran a part

check.json: the machine, each step's status and seconds, each benchmark's own results, and `unmet`: sentences about answers that are too far from the CPU's,
rows that failed, and times that are above a peer's or below what the kernels are meant to reach.
"""
import importlib.metadata
import json
import pathlib
import platform
import statistics
import subprocess
import sys

FARTHEST = {"f32": 1e-4, "tf32": 5e-3, "f16": 1e-2, "bf16": 8e-2}  # of the answers' range, from the CPU's
OF_COPY = 0.8  # of the device's copy: what codecs and pooling are meant to reach
MACHINE = {
    "gpu": ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit", "--format=csv,noheader"],
    "nvcc": ["nvcc", "--version"],
    "compiler": ["c++", "--version"],
}
PACKAGES = ("torch", "torchvision", "triton", "onnxruntime", "tensorrt", "nvidia-cudnn-cu13", "nvidia-cuda-nvrtc")


def machine():
    said = {"system": platform.platform(), "python": platform.python_version()}
    for what, command in MACHINE.items():
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
            lines = [line for line in answer.stdout.splitlines() if line.strip()]
            said[what] = (lines[-2] if what == "nvcc" and len(lines) > 1 else lines[0]) if lines else f"status {answer.returncode}"
        except (OSError, subprocess.TimeoutExpired) as problem:
            said[what] = f"none ({type(problem).__name__})"
    for name in PACKAGES:
        try:
            said[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return said


def rows_of(results):
    """Rows of bench_gpu's networks, whichever step made them."""
    return [row for name, part in sorted(results.items()) if name != "peers" for row in part.get("rows", [])]


def distance(row):
    """From the CPU's answer; JSON has no number for what is not finite."""
    return float("inf") if row["difference_from_cpu"] is None else row["difference_from_cpu"]


def best_ratio(row):
    ratios = {how: statistics.median(p["ratio"]) for how, p in row.get("peers", {}).items() if p.get("ratio")}
    return min(ratios.items(), key=lambda item: item[1]) if ratios else None


def unmet_in(results):
    said = []
    ours = [(row["name"], row) for row in rows_of(results)]
    peers = results.get("peers", {}).get("rows", [])
    ours += [(row["network"], {**row["ours"]["about"], "precision": row["precision"], "batch": row["batch"]}) for row in peers if row.get("ours")]
    for name, row in ours:
        what = f"{name}, {row['precision']}, batch {row['batch']}"
        if "failed" in row:
            said.append(f"{what}: failed: {row['failed']}")
        elif distance(row) > FARTHEST[row["precision"]]:
            said.append(f"{what}: {distance(row):.1e} of the range away from the CPU's answer, more than {FARTHEST[row['precision']]:.0e}")
    for row in peers:
        what = f"{row['network']}, {row['precision']}, batch {row['batch']}"
        if "failed" in row:
            said.append(f"{what}: failed: {row['failed']}")
        best = best_ratio(row)
        if best and best[1] < 1:
            said.append(f"{what}: {best[0]} takes {best[1]:.3f} of our time")
    for row in results.get("codecs", {}).get("codecs", [])[1:]:
        if row["of_copy"] < OF_COPY:
            said.append(f"{row['what']}: {row['of_copy']:.0%} of the copy's bandwidth, less than {OF_COPY:.0%}")
    for row in results.get("bytes", {}).get("byte_layers", []):
        times = {tile: t for tile, t in row["tiles_us"].items() if t > 0}
        if times and times[row["chosen"]] > 1.1 * min(times.values()):
            said.append(f"{row['layer']}, {row['frames']} together: tile {row['chosen']} takes {times[row['chosen']]:.2f} us, {min(times, key=times.get)} {min(times.values()):.2f} us")
    return said


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + " --- |" * len(head), *("| " + " | ".join(row) + " |" for row in rows)]) + "\n" if rows else ""


def ours_of(row):
    return f"{statistics.median(row['ours']['ms']):.4f}" if row.get("ours", {}).get("ms") else row.get("left_out") or row.get("failed", "?")


def tables(check):
    results, said = check["results"], []
    said.append("Machine: " + "; ".join(f"{what}: {value}" for what, value in check["machine"].items()) + "\n")
    said.append(table(["step", "status", "seconds"], [[s["name"], str(s["status"]), str(s["seconds"])] for s in check["steps"]]))
    said.append(table(["64 MB", "ms", "GB/s", "of the copy"], [[r["what"], f"{r['ms']:.4f}", f"{r['gigabytes_per_second']:.0f}", f"{r['of_copy']:.0%}"] for r in results.get("codecs", {}).get("codecs", [])]))
    layers = results.get("bytes", {}).get("byte_layers", [])
    said.append(table(["layer on bytes", "frames", "dp4a us", "chosen tile us", "quickest tile us"],
                      [[r["layer"], str(r["frames"]), f"{r['dp4a_us']:.2f}", f"{r['chosen']} {r['tiles_us'][r['chosen']]:.2f}", "{} {:.2f}".format(*min(r["tiles_us"].items(), key=lambda t: t[1]))] for r in layers]))
    said.append(table(["network", "precision", "together", "least ms", "median ms", "p99 ms", "from the CPU's"],
                      [[r["name"], r["precision"], str(r["batch"]), *(f"{r[k]:.4f}" for k in ("least", "median", "p99")), f"{distance(r):.1e}"] for r in rows_of(results) if "failed" not in r]))
    peers = results.get("peers", {}).get("rows", [])
    hows = sorted({how for row in peers for how in row.get("peers", {})})
    cell = lambda p: f"{statistics.median(p['ms']):.4f} ({statistics.median(p['ratio']):.2f})" if p.get("ratio") else "-"
    said.append(table(["network", "precision", "together", "ours ms", *(f"{how} ms (ratio)" for how in hows)],
                      [[r["network"], r["precision"], str(r["batch"]), ours_of(r), *(cell(r.get("peers", {}).get(how, {})) for how in hows)] for r in peers]))
    said.append("".join(f"- {line}\n" for line in check["unmet"]))
    return "\n".join(part for part in said if part)


def collect(folder, out):
    folder, out = pathlib.Path(folder), pathlib.Path(out)
    known = folder / "machine"
    if not known.exists():
        known.write_text(json.dumps(machine()))
    steps = [line.split("\t") for line in (folder / "steps").read_text().splitlines()]
    results = {}
    for path in sorted(folder.glob("*.json")):
        try:
            results[path.stem] = json.loads(path.read_text())
        except ValueError:
            results[path.stem] = {"damaged": "its program was stopped while it wrote"}
    check = {"machine": json.loads(known.read_text()), "steps": [{"name": n, "status": int(s), "seconds": int(t)} for n, s, t in steps], "results": results, "unmet": unmet_in(results)}
    (out / "check.json").write_text(json.dumps(check, indent=1) + "\n")
    (out / "tables.md").write_text(tables(check))


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "collect":
        collect(sys.argv[2], sys.argv[3])
    elif len(sys.argv) > 2 and sys.argv[1] == "tables":
        for path in sys.argv[2:]:
            try:
                print(tables(json.loads(pathlib.Path(path).read_text())))
            except (OSError, ValueError, KeyError, TypeError) as problem:
                sys.exit(f"gpu_report.py: {path}: a check.json of gpu_check.sh was expected ({type(problem).__name__}: {problem})")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
