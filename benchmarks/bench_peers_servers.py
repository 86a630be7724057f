#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""One peer of bench_peers.py in a process of its own: loads a network once, then times it whenever it is asked.

    bench_peers_servers.py PEER FOLDER --prepare     converts FOLDER/model.onnx, model.pt or state.pth into the peer's own file, if it needs one
    bench_peers_servers.py PEER FOLDER THREADS       serves

A server writes its answer to FOLDER/input.f32 into the file --output names (f32, laid out as PyTorch's) and then one line of JSON:
{"version"}. Each line "RUNS" on its input is one warm-up run and that many timed ones; it answers {"ms": [...], "cpu_ms": [...]}, the second being the
processor time of all its threads. It ends with its input. `bench_zoo --serve` is ours.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ANSWERS = os.dup(1)         # what peers print themselves goes to standard error
os.dup2(2, 1)


def say(value):
    os.write(ANSWERS, (json.dumps(value) + "\n").encode())


class Files:
    """A network's folder as bench_peers_models.py wrote it."""

    def __init__(self, folder):
        self.folder = folder
        self.shapes = json.loads((folder / "shape.json").read_text(encoding="utf-8"))
        self.name = folder.name

    def path(self, name):
        return str(self.folder / name)

    def image(self):
        import numpy
        return numpy.fromfile(self.folder / "input.f32", numpy.float32).reshape(self.shapes["input"])


def convert(command):
    """Runs a converter; it fails with its own last words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{pathlib.Path(command[0]).name} failed: " + (done.stderr + done.stdout).strip()[-300:])


# Each peer: prepare(files) makes its file; load(files, threads) gives (version, run, answer): `run()` is what is timed, `answer()` the output after a run.

def load_onnxruntime(files, threads):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(files.path("model.onnx"), options, providers=["CPUExecutionProvider"])
    given, kept = {"image": files.image()}, []

    def run():
        kept[:] = session.run(None, given)
    return onnxruntime.__version__, run, lambda: kept[0]


def load_openvino(files, threads):
    import openvino
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(core.read_model(files.path("model.onnx")), "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(files.image()))
    return openvino.__version__.split("-")[0], request.infer, lambda: request.get_output_tensor().data


def prepare_ncnn(files):
    import pnnx
    name = {key: files.path(f"ncnn.{value}") for key, value in
            (("ncnnparam", "param"), ("ncnnbin", "bin"), ("ncnnpy", "py"), ("pnnxparam", "pnnx.param"), ("pnnxbin", "pnnx.bin"), ("pnnxpy", "pnnx.py"), ("pnnxonnx", "pnnx.onnx"))}
    shape = ",".join(str(n) for n in files.shapes["input"])
    convert([pnnx.EXEC_PATH, files.path("model.pt"), f"inputshape=[{shape}]", "fp16=0", *(f"{key}={value}" for key, value in name.items())])


def load_ncnn(files, threads):
    import ncnn
    import numpy
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    if net.load_param(files.path("ncnn.param")) != 0 or net.load_model(files.path("ncnn.bin")) != 0:
        raise RuntimeError("ncnn refuses what pnnx wrote")
    pixels, kept = files.image()[0], []     # ncnn.Mat looks into it and does not keep it
    image = ncnn.Mat(pixels).clone()

    def run():
        extractor = net.create_extractor()
        extractor.input("in0", image)
        status, out = extractor.extract("out0")
        if status != 0:
            raise RuntimeError(f"ncnn: extract gave {status}")
        kept[:] = out, extractor        # the output lives in the extractor's memory
    return ncnn.__version__, run, lambda: numpy.array(kept[0])


def prepare_mnn(files):
    convert([sys.executable, "-c", "import sys; from MNN.tools.mnnconvert import main; sys.exit(main())", "-f", "ONNX",
                  "--modelFile", files.path("model.onnx"), "--MNNModel", files.path("model.mnn"), "--bizCode", "bench"])
    if not os.path.exists(files.path("model.mnn")):
        raise RuntimeError("mnnconvert wrote nothing")


def load_mnn(files, threads):
    import MNN
    import numpy
    interpreter = MNN.Interpreter(files.path("model.mnn"))
    session = interpreter.createSession({"backend": "CPU", "numThread": threads, "precision": "normal"})
    shape = tuple(files.shapes["input"])
    interpreter.resizeTensor(interpreter.getSessionInput(session), shape)
    interpreter.resizeSession(session)
    interpreter.getSessionInput(session).copyFrom(MNN.Tensor(shape, MNN.Halide_Type_Float, files.image(), MNN.Tensor_DimensionType_Caffe))

    def answer():
        out = interpreter.getSessionOutput(session)
        host = MNN.Tensor(out.getShape(), MNN.Halide_Type_Float, numpy.zeros(out.getShape(), numpy.float32), MNN.Tensor_DimensionType_Caffe)
        out.copyToHostTensor(host)
        return numpy.array(host.getData(), numpy.float32)
    return MNN.version(), lambda: interpreter.runSession(session), answer


def prepare_litert(files):
    import litert_torch
    import torch
    sys.path.insert(0, str(HERE))
    import bench_peers_models
    pictures = len(files.shapes["output"]) == 4
    module = litert_torch.to_channel_last_io(bench_peers_models.loaded(files.name, files.folder), args=[0], outputs=[0] if pictures else None)
    image = torch.from_numpy(files.image()).permute(0, 2, 3, 1).contiguous()
    litert_torch.convert(module, (image,)).export(files.path("model.tflite"))


def load_litert(files, threads):
    import importlib.metadata
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_path=files.path("model.tflite"), num_threads=threads)      # XNNPACK by default
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], files.image().transpose(0, 2, 3, 1).copy())
    index = interpreter.get_output_details()[0]["index"]

    def answer():
        out = interpreter.get_tensor(index)
        return out.transpose(0, 3, 1, 2) if out.ndim == 4 else out
    return importlib.metadata.version("ai-edge-litert"), interpreter.invoke, answer


def load_opencv(files, threads):
    import cv2
    cv2.setNumThreads(threads)
    net, image, kept = cv2.dnn.readNetFromONNX(files.path("model.onnx")), files.image(), []

    def run():
        net.setInput(image)
        kept[:] = [net.forward()]
    return cv2.__version__, run, lambda: kept[0]


def torch_way(way):
    def load(files, threads):
        import torch
        sys.path.insert(0, str(HERE))
        import bench_peers_models
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        module, image, kept = bench_peers_models.loaded(files.name, files.folder), torch.from_numpy(files.image()), []
        if way == "frozen":
            module = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(module, image)))
        elif way != "eager":
            module, image = module.to(memory_format=torch.channels_last), image.to(memory_format=torch.channels_last)
        if way == "compile":
            import torch._inductor.config
            torch._inductor.config.freezing = True
            module = torch.compile(module)

        def run():
            kept[:] = [module(image)]
        return torch.__version__, run, lambda: kept[0].contiguous().numpy()
    return load


# name: (modules it needs, prepare or None, load)
PEERS = {
    "onnxruntime": (("onnxruntime", "numpy"), None, load_onnxruntime),
    "openvino": (("openvino", "numpy"), None, load_openvino),
    "ncnn": (("ncnn", "pnnx", "numpy"), prepare_ncnn, load_ncnn),
    "mnn": (("MNN", "numpy"), prepare_mnn, load_mnn),
    "litert": (("ai_edge_litert", "litert_torch", "torch", "torchvision", "numpy"), prepare_litert, load_litert),
    "opencv": (("cv2", "numpy"), None, load_opencv),
    "torch": (("torch", "torchvision", "numpy"), None, torch_way("eager")),
    "torch_channels_last": (("torch", "torchvision", "numpy"), None, torch_way("channels_last")),
    "torch_frozen": (("torch", "torchvision", "numpy"), None, torch_way("frozen")),
    "torch_compile": (("torch", "torchvision", "numpy", "torch._inductor"), None, torch_way("compile")),
}


def serve(version, run, answer, output):
    import numpy
    run()
    numpy.ascontiguousarray(answer(), numpy.float32).tofile(output)
    run()
    say({"version": version})
    for line in sys.stdin:
        run()
        times, busy = [], []
        for _ in range(int(line)):
            used, begin = time.process_time(), time.perf_counter()
            run()
            times.append((time.perf_counter() - begin) * 1e3)
            busy.append((time.process_time() - used) * 1e3)
        say({"ms": times, "cpu_ms": busy})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("threads", type=int, nargs="?", default=1)
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--prepare", action="store_true")
    arguments = parser.parse_args()
    _, prepare, load = PEERS[arguments.peer]
    files = Files(arguments.folder)
    try:
        if arguments.prepare:
            if prepare:
                prepare(files)
            return 0
        serve(*load(files, arguments.threads), arguments.output or pathlib.Path(os.devnull))
    except Exception as problem:        # whatever a peer throws is its reason to be left out
        say({"failed": f"{type(problem).__name__}: {problem}".splitlines()[0][:300]})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
