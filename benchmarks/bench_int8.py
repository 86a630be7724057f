#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""MobileNetV2 on bytes, here and in ONNX Runtime and OpenVINO; ratio = the peer's time / ours, least processor times, one thread.

    python3 benchmarks/bench_peers.py mobilenet_v2 --threads 1 --turns 1 --folder FOLDER         # exports the f32 network
    python3 benchmarks/bench_int8.py FOLDER --pictures imagenet_samples_200.zip --json int8.json

Needs onnxruntime and onnx, and OpenVINO if it is to take part, in the Python that runs it (pip install onnxruntime onnx openvino pillow). ONNX
Runtime's own static quantisation makes the network both run (QDQ; u8 by s8; per tensor and per channel, the faster counts), calibrated on 16
pictures. They take turns with `bench_zoo --serve mobilenet_v2_int8_no_cuts`, whose weights are from a seed: times do not depend on them. Ours
starts from the picture's bytes, peers from floats, as their networks do.
"""
import argparse
import io
import json
import pathlib
import sys
import tempfile
import time
import zipfile

import bench_peers

sys.path.insert(0, str(bench_peers.ROOT / "tools"))
import data_folder  # noqa: E402

try:
    import numpy
    import onnxruntime
    from onnxruntime import quantization
    from PIL import Image
except ImportError as problem:
    print(f"SKIPPED: bench_int8 needs onnxruntime, onnx, numpy and pillow ({problem})")
    sys.exit(0)


def pictures(archive, count):
    mean, deviation = (numpy.array(s, numpy.float32).reshape(3, 1, 1) for s in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with zipfile.ZipFile(archive) as pack:
        names = sorted(n for n in pack.namelist() if n.endswith(".jpg"))
        for name in names[:: max(1, len(names) // count)][:count]:
            picture = Image.open(io.BytesIO(pack.read(name))).convert("RGB")
            left, top = (picture.size[0] - 224) // 2, (picture.size[1] - 224) // 2
            planes = numpy.asarray(picture.crop((left, top, left + 224, top + 224)), numpy.float32).transpose(2, 0, 1) / 255
            yield ((planes - mean) / deviation)[None]


class Reader(quantization.CalibrationDataReader):
    def __init__(self, name, inputs):
        self.name, self.inputs = name, iter(inputs)

    def get_next(self):
        found = next(self.inputs, None)
        return None if found is None else {self.name: found}


def quantised(model, inputs, folder):
    """The network's files, by how its weights are scaled."""
    name = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"]).get_inputs()[0].name
    quantization.shape_inference.quant_pre_process(str(model), str(folder / "prepared.onnx"), skip_symbolic_shape=True)
    files = {}
    for kind, per_channel in (("per tensor", False), ("per channel", True)):
        files[kind] = folder / f"{kind.replace(' ', '_')}.onnx"
        quantization.quantize_static(str(folder / "prepared.onnx"), str(files[kind]), Reader(name, inputs), quant_format=quantization.QuantFormat.QDQ,
                                     activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8, per_channel=per_channel)
    return files, name


def peers(files, name, x):
    """What each runs, by its name."""
    found = {}
    for kind, file in files.items():
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        found[f"onnxruntime {kind}"] = lambda session=session: session.run(None, {name: x})
    try:
        import openvino
        request = openvino.Core().compile_model(str(files["per channel"]), "CPU", {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}).create_infer_request()
        found["openvino"] = lambda: request.infer([x])
    except ImportError:
        print("LEFT OUT openvino: it is not in this Python")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="where bench_peers.py --folder left its networks")
    parser.add_argument("--pictures", required=True, help="a ZIP archive of JPEG pictures, to calibrate the peers with")
    parser.add_argument("--program", default=str(bench_peers.ROOT / "build/release/benchmarks/bench_zoo"), help="our side (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--turn", type=float, default=200.0, metavar="MS", help="about how long a turn is (default: %(default)s)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    model = options.folder / "mobilenet_v2" / "model.onnx"
    if not model.exists():
        sys.exit(f"bench_int8: {model} does not exist; bench_peers.py mobilenet_v2 --folder {options.folder} makes it")
    data_folder.require_pictures(options.pictures, 16)
    with tempfile.TemporaryDirectory() as scratch:
        inputs = list(pictures(options.pictures, 16))
        files, name = quantised(model, inputs, pathlib.Path(scratch))
        others = peers(files, name, inputs[0])
    server = bench_peers.Server([options.program, "mobilenet_v2_int8_no_cuts", "--serve", "--threads", "1"], 300)
    least, turns = {}, {}
    try:
        for turn in range(-1, options.turns):
            now = {"ours": min(server.turn(options.turn)["cpu_ms"])}
            for who, run in others.items():
                times, until = [], time.monotonic() + options.turn / 1000
                while not times or time.monotonic() < until:
                    begin = time.process_time()
                    run()
                    times.append(1000 * (time.process_time() - begin))
                now[who] = min(times)
            if turn < 0:
                continue
            for who, ms in now.items():
                least[who] = min(ms, least.get(who, ms))
                turns.setdefault(who, []).append(ms / now["ours"])
    finally:
        server.end()
    print(f"ours ({server.version}) {least['ours']:.2f} ms")
    for who in others:
        print(f"{who:<26} {least[who]:6.2f} ms   ratio {least[who] / least['ours']:.2f} ({min(turns[who]):.2f} to {max(turns[who]):.2f})")
    if options.json:
        best = min(others, key=least.get)
        row = {"network": "mobilenet_v2", "threads": 1, "type": "int8", "ours_ms": least["ours"], "peers": {who: least[who] for who in others}, "best_peer": best,
               "ratio": least[best] / least["ours"], "ratios": {who: {"of_least": least[who] / least["ours"], "turns": bench_peers.summary(turns[who])} for who in others}}
        options.json.write_text(json.dumps({"machine": bench_peers.machine(), "rows": [row]}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
