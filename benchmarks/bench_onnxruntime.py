#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""ResNet-34 at 224x224 on one thread: splitdsl against ONNX Runtime in the same run, and their ratio. The promise: at most 2.

torchvision's resnet34 (weights made up: times do not depend on them) is exported to ONNX, opset 11, into a temporary folder by the first Python
with PyTorch whose exporter works, and run by a Python that has ONNX Runtime with one intra-op thread; `bench_networks` runs the same network of ours.
The two take turns, a few runs each, so that a slow phase of the machine meets both; each turn gives one ratio of least times.
Times are measured on this machine. Ours includes turning the image's bytes into floats; ONNX Runtime starts from floats.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIMIT = 2.0

EXPORT = """
import inspect, sys, torch, torchvision
torch.manual_seed(34)
net = torchvision.models.resnet34(weights=None).eval()
how = {"opset_version": 11, "input_names": ["image"], "output_names": ["logits"]}
if "dynamo" in inspect.signature(torch.onnx.export).parameters:      # newer ones trace by default, and want another package for it
    how["dynamo"] = False
torch.onnx.export(net, torch.zeros(1, 3, 224, 224), sys.argv[1], **how)
print(torch.__version__, torchvision.__version__)
"""

# Answers each line "RUNS" with a line of that many times in milliseconds; ends with its input.
SERVE = """
import json, sys, time
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
image = numpy.random.default_rng(34).standard_normal((1, 3, 224, 224), dtype=numpy.float32)
print(json.dumps(onnxruntime.__version__), flush=True)
for line in sys.stdin:
    times = []
    session.run(None, {"image": image})
    for _ in range(int(line)):
        begin = time.perf_counter()
        session.run(None, {"image": image})
        times.append((time.perf_counter() - begin) * 1e3)
    print(json.dumps(times), flush=True)
"""


def fail(why):
    sys.exit(f"bench_onnxruntime: {why}")


def last_words(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no reason given"


def pythons_with(*modules):
    """Those on the path, or at the system's own place, that can import all of them."""
    candidates = [sys.executable, *(str(pathlib.Path(folder) / "python3") for folder in os.get_exec_path()), "/usr/bin/python3"]
    for python in dict.fromkeys(candidates):
        if shutil.which(python) and subprocess.run([python, "-c", "import " + ", ".join(modules)], capture_output=True, check=False).returncode == 0:
            yield python


def exported(exporters, model):
    """The first that can: its versions of PyTorch and torchvision."""
    reasons = []
    for python in exporters:
        done = subprocess.run([python, "-c", EXPORT, str(model)], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.split()[-2:]
        reasons.append(f"{python}: {last_words(done.stderr)}")
    fail("exporting to ONNX failed: " + "; ".join(reasons))


def ours(program, runs, folder):
    result = folder / "ours.json"
    command = [program, "--network", "resnet34", "--threads", "one", "--runs", str(runs), "--warm-up", "1", "--json", str(result)]
    try:
        done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    except OSError as problem:
        fail(f"{program}: {problem.strerror}")
    if done.returncode != 0:
        fail(f"{program} ended with {done.returncode}: {last_words(done.stderr)}")
    return json.loads(result.read_text(encoding="utf-8"))["rows"][0]


def summary(values):
    values = sorted(values)
    return {"least": values[0], "median": statistics.median(values), "most": values[-1]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/release/benchmarks/bench_networks"), help="our side (default: %(default)s)")
    parser.add_argument("--exporter", metavar="PYTHON", action="append", help="one with PyTorch and torchvision; may be given several times (default: those found)")
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5, help="of each side in a turn")
    parser.add_argument("--json", metavar="FILE", help="also write the results to FILE")
    parser.add_argument("--check", action="store_true", help=f"exit with 1 if the median ratio is above {LIMIT}")
    arguments = parser.parse_args()
    if arguments.turns < 1 or arguments.runs < 1:
        parser.error("--turns and --runs are at least 1")

    exporters = arguments.exporter or list(pythons_with("torch", "torchvision"))
    server = next(pythons_with("onnxruntime", "numpy"), None)
    for wanted, found in (("ONNX Runtime (pip install onnxruntime)", server), ("PyTorch and torchvision (Debian: python3-torch, python3-torchvision)", exporters)):
        if not found:
            print(f"bench_onnxruntime: skipped, because no python3 found here has {wanted}")
            return 0
    if not pathlib.Path(arguments.program).exists():
        print(f"bench_onnxruntime: {arguments.program} does not exist; `make build` builds it", file=sys.stderr)
        return 2

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = folder / "resnet34.onnx"
        torch_version, torchvision_version = exported(exporters, model)
        with subprocess.Popen([server, "-c", SERVE, str(model)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            def heard():
                line = process.stdout.readline()
                return json.loads(line) if line else fail(f"ONNX Runtime in {server} ended; what it said stands above")

            def theirs():
                with contextlib.suppress(BrokenPipeError):      # it has ended, and says nothing more
                    process.stdin.write(f"{arguments.runs}\n")
                    process.stdin.flush()
                return heard()

            version = heard()
            print(f"ResNet-34, 224x224, 1 thread: splitdsl and ONNX Runtime {version} take turns; {arguments.turns} turns of {arguments.runs} runs, times in ms")
            print(f"{'turn':>4} {'ours least':>11} {'median':>8} {'theirs least':>13} {'median':>8} {'ratio of least':>15}")
            our_times, their_times, ratios, code = [], [], [], ""
            for turn in range(arguments.turns):
                if turn % 2:
                    b, row = theirs(), ours(arguments.program, arguments.runs, folder)
                else:
                    row, b = ours(arguments.program, arguments.runs, folder), theirs()
                a, code = row["all"], row["instruction_set"]
                our_times += a
                their_times += b
                ratios.append(min(a) / min(b))
                print(f"{turn + 1:>4} {min(a):>11.1f} {statistics.median(a):>8.1f} {min(b):>13.1f} {statistics.median(b):>8.1f} {ratios[-1]:>15.3f}", flush=True)
            process.stdin.close()

    ratio = {"of_least": min(our_times) / min(their_times), "of_medians": statistics.median(our_times) / statistics.median(their_times), "turns": summary(ratios)}
    kept = ratio["turns"]["median"] <= LIMIT
    print(f"ours / ONNX Runtime: least {ratio['of_least']:.3f}, medians {ratio['of_medians']:.3f}; turns {ratio['turns']['least']:.3f} to "
          f"{ratio['turns']['most']:.3f}, median {ratio['turns']['median']:.3f}; promised at most {LIMIT}{'' if kept else '   MISSED'}")
    if arguments.json:
        report = {"unit": "milliseconds", "label": "measured", "network": "resnet34", "threads": 1, "instruction_set": code,
                  "onnxruntime": version, "torch": torch_version, "torchvision": torchvision_version,
                  "ours": summary(our_times), "theirs": summary(their_times), "ratio": ratio, "limit": LIMIT, "kept": kept}
        pathlib.Path(arguments.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 1 if arguments.check and not kept else 0


if __name__ == "__main__":
    sys.exit(main())
