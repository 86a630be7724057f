#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks on a GPU, one frame at a time: bench_gpu and PyTorch, taking turns in one run; ratio = the peer's time / ours.

    python3 benchmarks/bench_gpu.py --program build/release/benchmarks/bench_gpu --json gpu.json

Peers, each in 32-bit floats with TF32 and in 16-bit floats: eager; torch.compile (reduce-overhead); eager captured as one CUDA graph,
channels-last. Each turn goes from the picture's bytes in (pinned) host memory to the answer's floats in host memory, normalisation included,
on both sides. Networks are torchvision's, with random weights: times do not depend on them. What is missing is said and left out.
Times are measured: the median of each turn's runs; the ratio is taken turn by turn, and its median printed.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

NETWORKS = {"resnet50": 224, "densenet169": 224, "mobilenet_v3_large": 224, "inception_v3": 299}
OURS_ALONE = ["bottlefit_resnet152"]


class Ours:
    def __init__(self, program, network, precision):
        self.process = subprocess.Popen([program, network, "--precision", precision, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"bench_gpu ended with status {self.process.wait()}")
        self.about = json.loads(line)

    def turn(self, runs):
        self.process.stdin.write(f"{runs}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["ms"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Peer:
    """A PyTorch network behind a function from pinned bytes to pinned floats."""

    def __init__(self, network, precision, how):
        import torch
        import torchvision

        self.torch = torch
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "f32"
        torch.backends.cudnn.benchmark = True
        side = NETWORKS[network]
        options = {"aux_logits": False, "init_weights": False} if network == "inception_v3" else {}
        kind = torch.float16 if precision == "f16" else torch.float32
        model = getattr(torchvision.models, network)(weights=None, **options).eval().to("cuda", kind).to(memory_format=torch.channels_last)
        mean = torch.tensor([0.485, 0.456, 0.406], device="cuda").reshape(1, 3, 1, 1)
        deviation = torch.tensor([0.229, 0.224, 0.225], device="cuda").reshape(1, 3, 1, 1)

        def forward(pixels):
            x = ((pixels.float() / 255 - mean) / deviation).to(kind).contiguous(memory_format=torch.channels_last)
            return model(x).float()

        self.pixels = torch.randint(0, 255, (1, 3, side, side), dtype=torch.uint8).pin_memory()
        self.on_device = torch.empty_like(self.pixels, device="cuda")
        self.answer = torch.empty(1, 1000).pin_memory()
        self.graph = None
        self.forward = torch.compile(forward, mode="reduce-overhead") if how == "compile" else forward
        with torch.inference_mode():
            for _ in range(5):
                self.once()
            if how == "graph":
                stream = torch.cuda.Stream()
                with torch.cuda.stream(stream):
                    for _ in range(3):
                        self.issue()
                torch.cuda.synchronize()
                self.graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self.graph):
                    self.issue()

    def issue(self):
        self.on_device.copy_(self.pixels, non_blocking=True)
        self.answer.copy_(self.forward(self.on_device), non_blocking=True)

    def once(self):
        self.graph.replay() if self.graph else self.issue()
        self.torch.cuda.current_stream().synchronize()

    def turn(self, runs):
        times = []
        with self.torch.inference_mode():
            for _ in range(runs):
                begin = time.perf_counter()
                self.once()
                times.append((time.perf_counter() - begin) * 1e3)
        return times


def compare(program, network, precision, peers, turns, runs, until):
    ours = Ours(program, network, precision)
    row = {"network": network, "precision": precision, "ours": {"about": ours.about, "ms": []}, "peers": {}}
    try:
        ours.turn(runs)
        ready = {}
        for how in peers if network in NETWORKS else []:
            if time.monotonic() > until:
                row["peers"][how] = {"left_out": "out of time"}
                continue
            try:
                ready[how] = Peer(network, precision, how)
                ready[how].turn(runs)
                row["peers"][how] = {"ms": [], "ratio": []}
            except Exception as problem:  # what a peer cannot do is a result
                row["peers"][how] = {"left_out": str(problem).splitlines()[0][:200]}
        for _ in range(turns):
            mine = statistics.median(ours.turn(runs))
            row["ours"]["ms"].append(mine)
            for how, peer in ready.items():
                theirs = statistics.median(peer.turn(runs))
                row["peers"][how]["ms"].append(theirs)
                row["peers"][how]["ratio"].append(theirs / mine)
    finally:
        ours.close()
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--networks", nargs="*", default=[*NETWORKS, *OURS_ALONE])
    parser.add_argument("--precisions", nargs="*", default=["f16", "tf32"])
    parser.add_argument("--peers", nargs="*", default=["graph", "eager", "compile"])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=240, help="after this no further peer is begun")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if not pathlib.Path(arguments.program).is_file():
        sys.exit(f"bench_gpu.py: --program {arguments.program}: no such file")
    peers = arguments.peers
    try:
        import torch
        import torchvision  # noqa: F401

        if not torch.cuda.is_available():
            raise ImportError("PyTorch sees no GPU")
        device = torch.cuda.get_device_name()
    except ImportError as problem:
        print(f"bench_gpu.py: no peers: {problem}")
        peers, device = [], None
    until = time.monotonic() + arguments.seconds
    rows, failed = [], False
    print(f"{'network':22} {'type':5} {'ours ms':>9}  {'  '.join(f'{p:>22}' for p in peers)}   (ms, ratio)")
    for precision in arguments.precisions:
        for network in arguments.networks:
            try:
                row = compare(arguments.program, network, precision, peers, arguments.turns, arguments.runs, until)
            except (RuntimeError, OSError, ValueError) as problem:
                print(f"{network:22} {precision:5} failed: {problem}")
                rows.append({"network": network, "precision": precision, "failed": str(problem)})
                failed = True
                continue
            rows.append(row)
            cells = []
            for how in peers:
                peer = row["peers"].get(how, {})
                cells.append(f"{statistics.median(peer['ms']):9.4f} {statistics.median(peer['ratio']):12.3f}" if peer.get("ms") else f"{'-':>22}")
            print(f"{network:22} {precision:5} {statistics.median(row['ours']['ms']):9.4f}  {'  '.join(cells)}", flush=True)
            if arguments.json:  # row by row: who stops us keeps what was measured
                pathlib.Path(arguments.json).write_text(json.dumps({"device": device, "label": "measured", "unit": "milliseconds", "rows": rows}, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
