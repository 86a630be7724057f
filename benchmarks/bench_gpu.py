#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks and tails on a GPU, one frame at a time and in batches: bench_gpu and its peers, taking turns in one run; ratio = the peer's time / ours.

    python3 benchmarks/bench_gpu.py --program build/release/benchmarks/bench_gpu --json gpu.json
    python3 benchmarks/bench_gpu.py --rehearse          # without a GPU: every peer that can be built here runs once on the CPU

Peers: PyTorch eager; PyTorch captured as one CUDA graph, channels-last; torch.compile (reduce-overhead); TensorRT; ONNX Runtime on CUDA. Those that are not
installed are named and left out. Each turn goes from the frames' bytes in (pinned) host memory to the answers' floats in host memory, on both sides: pictures
with their normalisation, tails from the 8-bit levels of a payload (a peer's scale and zero point stay on the device, and of SAGE's four branches it has one).
Networks are torchvision's, tails are built here from its layers; weights are random: times do not depend on them. Rows are made in order of what matters,
until --seconds are over; what was left out says so. Times are measured: the median of each turn's runs; ratios are taken turn by turn, their median printed.
"""
import argparse
import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

PICTURES = {"resnet50": 224, "densenet169": 224, "mobilenet_v3_large": 224, "inception_v3": 299}
TAILS = {"sage_resnet34": (3, 12, 26), "bottlefit_resnet152": (3, 29, 29)}
# Precision, frames together, peers: what matters first.
TIERS = [
    ("f16", 1, ["graph", "tensorrt", "onnxruntime", "eager"]),
    ("f16", 8, ["graph", "tensorrt"]),
    ("f16", 32, ["graph", "tensorrt"]),
    ("tf32", 1, ["graph", "eager"]),
    ("f16", 1, ["compile"]),
    ("bf16", 1, ["graph"]),
]


class LeftOut(Exception):
    """Why a peer does not run, in a sentence."""


class Ours:
    def __init__(self, program, network, precision, batch):
        command = [program, network, "--precision", precision, "--batch", str(batch), "--serve"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            said = self.process.stderr.read().strip().splitlines()
            raise RuntimeError(said[-1] if said else f"bench_gpu ended with status {status}")
        self.about = json.loads(line)

    def turn(self, runs):
        self.process.stdin.write(f"{runs}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["ms"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def model_of(network, kind):
    """A torch module from raw bytes to floats, in values of `kind`; and the shape of one frame's bytes."""
    import torch
    import torchvision

    class Picture(torch.nn.Module):
        def __init__(self):
            super().__init__()
            options = {"aux_logits": False, "init_weights": False} if network == "inception_v3" else {}
            self.net = getattr(torchvision.models, network)(weights=None, **options).to(kind)
            self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1), persistent=False)
            self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1), persistent=False)

        def forward(self, pixels):
            x = ((pixels.float() / 255 - self.mean) / self.deviation).to(kind)
            return self.net(x.contiguous(memory_format=torch.channels_last)).float()

    class Tail(torch.nn.Module):
        """What the cloud runs of BottleFit's ResNets: the decoder, layer3, layer4 and what follows."""

        def __init__(self):
            super().__init__()
            steers = network == "sage_resnet34"
            source = torchvision.models.resnet34(weights=None) if steers else torchvision.models.resnet152(weights=None)
            wide = 128 if steers else 512

            def conv(before, after, pad):
                return [torch.nn.BatchNorm2d(before), torch.nn.ReLU(), torch.nn.Conv2d(before, after, 2, padding=pad, bias=False)]

            layers = [*conv(3, wide, 1), *conv(wide, wide, 1), *conv(wide, wide, 0), *conv(wide, wide, 0), torch.nn.AvgPool2d(2, stride=1)]
            features = source.fc.in_features
            self.net = torch.nn.Sequential(*layers, source.layer3, source.layer4, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(features, 512 if steers else 1000)).to(kind)
            if steers:
                dense = torch.nn.Linear
                self.speed = torch.nn.Sequential(dense(1, 128), torch.nn.ReLU(), dense(128, 128), torch.nn.ReLU()).to(kind)
                self.join = torch.nn.Sequential(dense(640, 512), torch.nn.ReLU(), dense(512, 256), torch.nn.ReLU(), dense(256, 256), torch.nn.ReLU(), dense(256, 3)).to(kind)
            self.steers = steers
            self.register_buffer("scale", torch.tensor(0.02), persistent=False)
            self.register_buffer("zero", torch.tensor(117.0), persistent=False)

        def forward(self, levels):
            x = ((levels.float() - self.zero) * self.scale).to(kind)
            x = self.net(x.contiguous(memory_format=torch.channels_last))
            if self.steers:  # the speed is made of the payload's first level: one more small copy would be the peer's loss
                x = self.join(torch.cat([x, self.speed((levels[:, 0, 0, :1].float() / 255).to(kind))], 1))
            return x.float()

    shape = TAILS.get(network) or (3, PICTURES[network], PICTURES[network])
    module = Tail() if network in TAILS else Picture()
    return module.eval().to(memory_format=torch.channels_last), shape


def exported(model, sample):
    """ONNX bytes, by PyTorch's own exporter."""
    import torch

    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        path = pathlib.Path(folder) / "model.onnx"
        options = {"input_names": ["in"], "output_names": ["out"], "opset_version": 17}
        try:
            torch.onnx.export(model, (sample,), str(path), dynamo=False, **options)
        except TypeError:  # older ones have no such option
            torch.onnx.export(model, (sample,), str(path), **options)
        return path.read_bytes()


class Peer:
    """A network behind a function from pinned bytes to pinned floats."""

    def __init__(self, network, precision, batch, how, device="cuda"):
        wanted = {"tensorrt": "tensorrt", "onnxruntime": "onnxruntime"}.get(how)
        if wanted and importlib.util.find_spec(wanted) is None:
            raise LeftOut(f"{wanted} is not installed")
        import torch

        self.torch, self.device = torch, device
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "f32"
        torch.backends.cudnn.benchmark = True
        torch.manual_seed(1)
        kind = {"f16": torch.float16, "bf16": torch.bfloat16}.get(precision, torch.float32)
        model, shape = model_of(network, kind)
        model = model.to(device)
        frames = torch.randint(0, 255, (batch, *shape), dtype=torch.uint8)
        self.frames = frames.pin_memory() if device == "cuda" else frames
        self.on_device = torch.empty_like(self.frames, device=device)
        self.graph = None
        self.run = model
        if how == "compile":
            self.run = torch.compile(model, mode="reduce-overhead")
        elif how == "tensorrt":
            self.run = self.tensorrt(model, precision)
        elif how == "onnxruntime":
            self.run = self.onnxruntime(model)
        with torch.inference_mode():
            self.on_device.copy_(self.frames)
            answer = self.run(self.on_device).to("cpu")
            self.answer = answer.pin_memory() if device == "cuda" else answer.clone()
            for _ in range(5 if device == "cuda" else 1):
                self.once()
            # TensorRT's work is captured too: so its launch costs no more than ours.
            if how in ("graph", "tensorrt") and device == "cuda":
                stream = torch.cuda.Stream()
                with torch.cuda.stream(stream):
                    for _ in range(3):
                        self.issue()
                torch.cuda.synchronize()
                self.graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self.graph):
                    self.issue()

    def tensorrt(self, model, precision):
        import tensorrt

        torch = self.torch
        logger = tensorrt.Logger(tensorrt.Logger.ERROR)
        builder = tensorrt.Builder(logger)
        network = builder.create_network(0)
        parser = tensorrt.OnnxParser(network, logger)
        if not parser.parse(exported(model, self.on_device)):
            raise LeftOut(f"TensorRT does not take the network: {parser.get_error(0)}")
        config = builder.create_builder_config()
        if precision == "f16" and hasattr(tensorrt.BuilderFlag, "FP16"):
            config.set_flag(tensorrt.BuilderFlag.FP16)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise LeftOut("TensorRT builds no engine for the network")
        self.engine = tensorrt.Runtime(logger).deserialize_cuda_engine(plan)
        context = self.engine.create_execution_context()
        out = torch.empty(tuple(self.engine.get_tensor_shape("out")), device="cuda", dtype=torch.float32)
        context.set_tensor_address("in", self.on_device.data_ptr())
        context.set_tensor_address("out", out.data_ptr())

        def run(_):
            if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
                raise LeftOut("TensorRT does not run the network")
            return out

        return run

    def onnxruntime(self, model):
        import onnxruntime

        torch = self.torch
        provider = "CUDAExecutionProvider" if self.device == "cuda" else "CPUExecutionProvider"
        if provider not in onnxruntime.get_available_providers():
            raise LeftOut(f"this ONNX Runtime has no {provider}")
        options = {"enable_cuda_graph": "1"} if self.device == "cuda" else {}
        self.session = onnxruntime.InferenceSession(exported(model, self.on_device), providers=[(provider, options)])
        if self.session.get_providers()[0] != provider:
            raise LeftOut(f"ONNX Runtime does not start its {provider}")
        if self.device != "cuda":
            return lambda frames: torch.from_numpy(self.session.run(None, {"in": frames.numpy()})[0])
        import numpy

        with torch.inference_mode():
            out = torch.empty_like(model(self.on_device))
        binding = self.session.io_binding()
        binding.bind_input("in", "cuda", 0, numpy.uint8, tuple(self.on_device.shape), self.on_device.data_ptr())
        binding.bind_output("out", "cuda", 0, numpy.float32, tuple(out.shape), out.data_ptr())

        def run(_):
            torch.cuda.current_stream().synchronize()  # its own stream must see our copy
            self.session.run_with_iobinding(binding)
            return out

        return run

    def issue(self):
        self.on_device.copy_(self.frames, non_blocking=True)
        self.answer.copy_(self.run(self.on_device), non_blocking=True)

    def once(self):
        self.graph.replay() if self.graph else self.issue()
        if self.device == "cuda":
            self.torch.cuda.current_stream().synchronize()

    def turn(self, runs):
        times = []
        with self.torch.inference_mode():
            for _ in range(runs):
                begin = time.perf_counter()
                self.once()
                times.append((time.perf_counter() - begin) * 1e3)
        return times


def compare(program, network, precision, batch, peers, turns, runs, until):
    row = {"network": network, "precision": precision, "batch": batch, "ours": {"ms": []}, "peers": {}}
    ours = Ours(program, network, precision, batch)
    row["ours"]["about"] = ours.about
    try:
        ours.turn(runs)
        ready = {}
        for how in peers:
            if time.monotonic() > until:
                row["peers"][how] = {"left_out": "out of time"}
                continue
            try:
                ready[how] = Peer(network, precision, batch, how)
                ready[how].turn(runs)
                row["peers"][how] = {"ms": [], "ratio": []}
            except Exception as problem:  # what a peer cannot do is a result
                ready.pop(how, None)
                row["peers"][how] = {"left_out": (str(problem).splitlines() or [type(problem).__name__])[0][:200]}
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


def rehearse(networks):
    """Every peer on the CPU, once: that each is built as it should be, and that they agree."""
    import torch

    failed = False
    for network in networks:
        said = []
        answers = {}
        for how in ("eager", "onnxruntime"):
            try:
                peer = Peer(network, "f32", 2, how, device="cpu")
                answers[how] = peer.answer
                said.append(f"{how} {tuple(peer.answer.shape)}")
            except LeftOut as problem:
                said.append(f"{how} left out: {problem}")
        if len(answers) == 2:
            spread = answers["eager"].max() - answers["eager"].min()
            difference = float((answers["eager"] - answers["onnxruntime"]).abs().max() / spread)
            said.append(f"they differ by {difference:.1e} of the range")
            failed = failed or not difference < 1e-3
        failed = failed or not torch.isfinite(answers["eager"]).all()
        print(f"{network:22} {'; '.join(said)}", flush=True)
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", help="bench_gpu")
    parser.add_argument("--networks", nargs="*", default=[*PICTURES, *TAILS], choices=[*PICTURES, *TAILS])
    parser.add_argument("--precisions", nargs="*", default=["f16", "tf32", "bf16"])
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 8, 32])
    parser.add_argument("--peers", nargs="*", default=["graph", "eager", "tensorrt", "onnxruntime", "compile"])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--runs", type=int, default=50, help="frames or batches a turn; fewer of large batches")
    parser.add_argument("--seconds", type=float, default=240, help="after this nothing further is begun")
    parser.add_argument("--json")
    parser.add_argument("--rehearse", action="store_true", help="build the peers on the CPU and compare their answers")
    arguments = parser.parse_args()
    if arguments.rehearse:
        return rehearse(arguments.networks)
    if not arguments.program:
        sys.exit("bench_gpu.py: --program FILE is required, or --rehearse")
    if not pathlib.Path(arguments.program).is_file():
        sys.exit(f"bench_gpu.py: --program {arguments.program}: no such file")
    found, device = arguments.peers, None
    try:
        import torch
        import torchvision  # noqa: F401

        if not torch.cuda.is_available():
            raise ImportError("PyTorch sees no GPU")
        device = torch.cuda.get_device_name()
    except ImportError as problem:
        print(f"bench_gpu.py: no peers: {problem}")
        found = []
    for how in ("tensorrt", "onnxruntime"):
        if how in found and importlib.util.find_spec(how) is None:
            print(f"bench_gpu.py: {how} is not installed and left out")
            found = [x for x in found if x != how]
    try:
        built = subprocess.run([arguments.program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError) as problem:
        sys.exit(f"bench_gpu.py: {arguments.program} was expected to list its networks: {problem}")
    for network in arguments.networks:
        if network not in built:
            print(f"bench_gpu.py: {network} is not in this bench_gpu, which was built without SPLITDSL_ZOO_ALL, and left out")
    networks = [n for n in arguments.networks if n in built]
    until = time.monotonic() + arguments.seconds
    rows, failed = [], False
    print(f"{'network':22} {'type':5} {'batch':>5} {'ours ms':>9}  peers: ms (ratio)")
    for precision, batch, peers in TIERS:
        if precision not in arguments.precisions or batch not in arguments.batches:
            continue
        peers = [p for p in peers if p in found]
        if not peers and any(r["precision"] == precision and r["batch"] == batch for r in rows):
            continue
        for network in networks:
            if time.monotonic() > until:
                rows.append({"network": network, "precision": precision, "batch": batch, "left_out": "out of time"})
                continue
            try:
                row = compare(arguments.program, network, precision, batch, peers, arguments.turns, max(5, arguments.runs // batch), until)
            except (RuntimeError, OSError, ValueError) as problem:
                print(f"{network:22} {precision:5} {batch:5} failed: {problem}")
                rows.append({"network": network, "precision": precision, "batch": batch, "failed": str(problem)})
                failed = True
                continue
            rows.append(row)
            cells = []
            for how in peers:
                peer = row["peers"].get(how, {})
                cells.append(f"{how} {statistics.median(peer['ms']):.4f} ({statistics.median(peer['ratio']):.3f})" if peer.get("ms") else f"{how} - ({peer.get('left_out')})")
            print(f"{network:22} {precision:5} {batch:5} {statistics.median(row['ours']['ms']):9.4f}  {', '.join(cells)}", flush=True)
            if arguments.json:  # row by row: who stops us keeps what was measured
                pathlib.Path(arguments.json).write_text(json.dumps({"device": device, "label": "measured", "unit": "milliseconds", "rows": rows}, indent=1))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps({"device": device, "label": "measured", "unit": "milliseconds", "rows": rows}, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
