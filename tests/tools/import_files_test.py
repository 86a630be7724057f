#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX files that are damaged, hostile, or say what the language cannot: a clear refusal, nothing written, nothing unbounded.

    import_files_test.py --compiler g++     needs numpy; the compiler reads headers made from files with hostile names
"""
import argparse
import contextlib
import io
import os
import pathlib
import random
import re
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "tools")]
try:
    import numpy
except ImportError as problem:
    print(f"SKIPPED: importing ONNX files needs python3-numpy ({problem})")
    sys.exit(0)
import import_onnx  # noqa: E402
import safetensors_io  # noqa: E402
from onnx_bytes import field, model, node, tensor, value, varint  # noqa: E402

FAULTS = []
OPTIONS = argparse.Namespace(compiler="g++")
PICTURE = value("x", [1, 3, 8, 8])
ANSWER = value("y", [1, 4])
EVIL = ['")); system("id"); auto x = (("', "a\nb", "a\\", "*/ int evil; /*", "a??/\n#error evil", "R\"(evil)\"", "\u202eevil", "a'b`c$(id)", "", ".", "..", "//",
        "\0evil", "x" * 1200, "%n%s", "named", "class", "0", "007", "selftest", "splitdsl::evil", "-", "<evil>", "évil"]


def check(truth, text):
    if not truth:
        FAULTS.append(text)
        print(f"WRONG: {text}", flush=True)


def weights(out, into, kernel=3, seed=1):
    return numpy.random.default_rng(seed).standard_normal((out, into, kernel, kernel)).astype("f4")


def small(**options):
    """Convolution, ReLU, mean, dense layer."""
    return model([node("Conv", ["x", "w", "b"], ["c"], "/stem/Conv", pads=[1, 1, 1, 1]), node("Relu", ["c"], ["r"], "/relu/Relu"),
                  node("GlobalAveragePool", ["r"], ["g"], "/pool/GlobalAveragePool"), node("Flatten", ["g"], ["f"], "/Flatten"),
                  node("Gemm", ["f", "fc.weight", "fc.bias"], ["y"], "/fc/Gemm", transB=1)],
                 [PICTURE], [ANSWER], [tensor("w", weights(6, 3)), tensor("b", numpy.zeros(6, "f4")),
                                       tensor("fc.weight", numpy.ones((4, 6), "f4")), tensor("fc.bias", numpy.ones(4, "f4"))], **options)


def run(content, *arguments, name="net", folder=None):
    """(status, what was said, header or None, tensors or None)"""
    with tempfile.TemporaryDirectory() as temporary:
        at = pathlib.Path(folder or temporary)
        (at / "model.onnx").write_bytes(content)
        before = set(os.listdir(at))
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = import_onnx.main([str(at / "model.onnx"), "--name", name, *arguments])
        header = at / f"{name}.hpp"
        found = (header.read_text(encoding="ascii"), safetensors_io.load(at / f"{name}.safetensors")[0]) if header.exists() else (None, None)
        if status != 0:
            check(set(os.listdir(at)) == before, f"a refused file left {sorted(set(os.listdir(at)) - before)}: {said.getvalue()[:200]}")
        for extra in set(os.listdir(at)) - before:
            (at / extra).unlink()
        return status, said.getvalue(), *found


def refused(content, *parts, arguments=(), folder=None):
    begin = time.monotonic()
    status, said, _, _ = run(content, *arguments, folder=folder)
    check(status == 1, f"expected a refusal that names {parts}, found status {status}: {said[:300]}")
    for part in parts:
        check(part in said, f"expected \"{part}\" in: {said[:400]}")
    check(time.monotonic() - begin < 20, f"{parts}: took {time.monotonic() - begin:.0f} s")


def is_harmless(header):
    """Only the words' own characters; strings hold names; comments stay comments."""
    if not header.isascii() or any(ord(c) < 32 and c != "\n" for c in header) or "\\" in header or "??" in header or "/*" in header:
        return False
    for line in header.split("\n"):
        code = line.split("//")[0]
        if any(not re.fullmatch(r"[A-Za-z0-9_-]+", text) for text in re.findall(r'"([^"]*)"', code)) or code.count('"') % 2:
            return False
        if re.search(r"evil|system|#(?!pragma once|include <splitdsl)", re.sub(r'"[^"]*"', "", code)):
            return False
    return True


def compiles(header, what):
    done = subprocess.run([OPTIONS.compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", f"-I{ROOT / 'include'}", "-x", "c++", "-include", "splitdsl/language.hpp", "-"],
                          input=header.replace("#pragma once", ""), capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"{what}: the header does not compile: {done.stderr[:600]}")


def damaged_files():
    whole = small()
    status, said, header, _ = run(whole)
    check(status == 0 and header is not None, f"the whole file is taken: {said}")
    many = bool(os.environ.get("SPLITDSL_TEST_FULL"))
    for length in range(0, len(whole), 3 if many else 7):
        status, said, _, _ = run(whole[:length])
        check(status == 1, f"a file of {length} instead of {len(whole)} bytes was taken")
    rng = random.Random(5)
    taken, tries = 0, 3000 if many else 1000
    for _ in range(tries):
        content = bytearray(whole)
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(len(content)) if rng.random() < 0.5 else rng.randrange(120)
            content[at] = rng.randrange(256)
        status, said, header, _ = run(bytes(content))
        taken += status == 0
        check(status in (0, 1), f"status {status}")
        check(header is None or is_harmless(header), "a damaged file made a header with strange text")
    check(0 < taken < tries, f"{taken} of {tries} damaged files were taken")
    refused(b"", "no ONNX file")
    refused(b"\x00" * 64, "no ONNX file")
    refused(random.Random(1).randbytes(4096), "")
    refused(varint(7 << 3 | 2) + varint(2 ** 62), "claims", "bytes")
    refused(b"\x80" * 40, "64 bits")


def hostile_sizes():
    def with_weight(w):
        return model([node("Conv", ["x", "w"], ["y"], "c")], [PICTURE], [ANSWER], [w])
    refused(with_weight(tensor("w", weights(6, 3), dims=[2 ** 40, 3, 3, 3])), "impossible dimensions")
    refused(with_weight(tensor("w", weights(6, 3), dims=[-6, 3, 3, 3])), "impossible dimensions")
    refused(with_weight(tensor("w", weights(6, 3), dims=[2 ** 31 - 1] * 4)), "needs", "the file holds 648")
    refused(with_weight(tensor("w", weights(6, 3), dims=[1] * 40)), "impossible dimensions")
    refused(with_weight(tensor("w", weights(6, 3), kind=8)), "element type 8")
    refused(with_weight(tensor("w", weights(6, 3) * numpy.float32("nan"))), "not finite")
    shape = tensor("s", numpy.array([2 ** 20, 2 ** 20], "i8"))
    refused(model([node("ConstantOfShape", ["s"], ["t"], "big"), node("Add", ["x", "t"], ["y"], "a")], [PICTURE], [ANSWER], [shape]), "ConstantOfShape: big", "at most")
    refused(model([node("Expand", ["o", "s"], ["t"], "big"), node("Add", ["x", "t"], ["y"], "a")], [PICTURE], [ANSWER], [shape, tensor("o", numpy.ones(1, "f4"))]), "Expand: big")
    many = [node("ConstantOfShape", ["s"], [f"t{i}"], f"big{i}") for i in range(200)] + [node("Concat", [f"t{i}" for i in range(200)], ["u"], "all", axis=0), node("Add", ["x", "u"], ["y"])]
    refused(model(many, [PICTURE], [ANSWER], [tensor("s", numpy.array([2 ** 24], "i8"))]), "all folded ones at most")
    refused(model([node("Range", ["o", "s", "o"], ["t"], "long"), node("Add", ["x", "t"], ["y"])], [PICTURE], [ANSWER],
                  [tensor("o", numpy.array(1, "i8")), tensor("s", numpy.array(2 ** 50, "i8"))]), "Range: long")
    refused(model([node("Pad", ["x", "p"], ["y"], "wide")], [PICTURE], [ANSWER], [tensor("p", numpy.array([0, 0, 2 ** 40, 0, 0, 0, 0, 0], "i8"))]), "Pad: wide")
    refused(model([node("Resize", ["x", "", "", "p"], ["y"], "wide", mode="nearest")], [PICTURE], [ANSWER], [tensor("p", numpy.array([1, 3, 2 ** 40, 8], "i8"))]), "Resize: wide")
    refused(model([node("Conv", ["x", "w"], ["y"], "c", strides=[0, 1])], [PICTURE], [ANSWER], [tensor("w", weights(6, 3))]), "Conv: c", "strides")
    refused(model([node("Conv", ["x", "w"], ["y"], "c", group=0)], [PICTURE], [ANSWER], [tensor("w", weights(6, 3))]), "Conv: c", "0 groups")
    refused(model([node("Relu", ["x"], ["y"])], [value("x", [1, 3, 2 ** 20, 2 ** 20])], [ANSWER]), "input x")
    refused(model([node("Relu", ["x"], ["y"])], [value("x", [1] * 17)], [ANSWER]), "17 dimensions")
    refused(model([node("Relu", ["x"], ["r0"]), *[node("Relu", [f"r{i}"], [f"r{i + 1}"]) for i in range(4100)]], [PICTURE], [value("r4100", [1, 4])]), "4102 words, at most 4000")
    nested = [node("Relu", ["x"], ["a0"])]
    for i in range(900):
        nested += [node("Sigmoid", [f"a{i}"], [f"a{i + 1}"])]
    nested += [node("Add", ["a900", "a899"], ["b899"])]
    nested += [node("Add", [f"b{i}", f"a{i - 1}"], [f"b{i - 1}"]) for i in range(899, 0, -1)]
    refused(model(nested, [PICTURE], [value("b0", [1, 3, 8, 8])]), "nested too deeply")


def hostile_graphs():
    relu = node("Relu", ["x"], ["y"])
    refused(model([node("Relu", ["b"], ["a"], "first"), node("Relu", ["a"], ["b"], "second"), node("Add", ["x", "b"], ["y"], "third")], [PICTURE], [ANSWER]), "cycle", "first", "second")
    refused(model([node("Relu", ["y"], ["y"], "own")], [PICTURE], [ANSWER]), "cycle", "own")
    refused(model([relu, relu], [PICTURE], [ANSWER]), "made twice")
    refused(model([node("Relu", ["z"], ["y"])], [PICTURE], [ANSWER]), "nothing makes: z")
    refused(model([relu], [PICTURE], []), "no outputs")
    refused(model([relu], [PICTURE], [value("x2", [1])]), "nothing makes: x2")
    for opset in (0, 9, 10, 99):
        refused(model([relu], [PICTURE], [ANSWER], opset=opset), f"operator set {opset}", "11 to")
    refused(model([relu], [value("x", [8, 3, 8, 8])], [ANSWER]), "batch of 1")
    refused(model([relu], [value("x", [1, 3, "h", "w"])], [ANSWER]), "--shape")
    refused(model([relu], [value("x", [1, 3, 8, 8], element=2)], [ANSWER]), "element type 2")
    refused(model([node("Relu", [], ["y"], "bare")], [PICTURE], [ANSWER]), "Relu: bare")
    refused(model([node("Relu", ["x", "x", "x"], ["y"], "rich")], [PICTURE], [ANSWER]), "Relu: rich")
    refused(model([node("Conv", ["x", ""], ["y"], "bare")], [PICTURE], [ANSWER]), "Conv: bare")
    for operands in ([], [""], ["x", "x"]):
        refused(model([node("Shape", operands, ["s"], "size"), node("Add", ["x", "s"], ["y"])], [PICTURE], [ANSWER]), "Shape: size", "expected 1")
    refused(model([node("Expand", ["o", ""], ["t"], "bare"), node("Add", ["x", "t"], ["y"])], [PICTURE], [ANSWER], [tensor("o", numpy.ones(1, "f4"))]), "Expand: bare", "left out")
    refused(small(extra=field(25, field(1, "f"))), "functions of its own")
    status, said, header, _ = run(model([relu], [value("x", ["n", 3, "h", "w"])], [ANSWER]), "--shape", "x=3,16,24")
    check(status == 0 and ".height = 16, .width = 24" in header, f"open sizes are given with --shape: {said}")


def unsupported_operators():
    nodes = [node("Conv", ["x", "w"], ["c"], "good"), node("Einsum", ["c"], ["e"], "/a/Einsum", equation="ij->ji"), node("LSTM", ["e"], ["l"], "/b/LSTM"),
             node("Elu", ["c"], ["u"], "/c/Elu"), node("HardSigmoid", ["u2"], ["h"], "/d/HardSigmoid", alpha=0.2), node("Sigmoid", ["c"], ["u2"]),
             node("Clip", ["c", "lo"], ["k"], "/e/Clip"), node("Mine", ["c"], ["m"], "/f/Mine", domain="com.example"),
             node("MaxPool", ["c"], ["p"], "/g/MaxPool", kernel_shape=[2, 2], dilations=[2, 2]), node("Sum", ["l", "u", "h", "k", "m", "p"], ["y"], "sum")]
    content = model(nodes, [PICTURE], [ANSWER], [tensor("w", weights(6, 3)), tensor("lo", numpy.array(-1, "f4"))])
    refused(content, "7 nodes", "nothing was written", "Einsum: /a/Einsum", "LSTM: /b/LSTM", "Elu: /c/Elu", "HardSigmoid: /d/HardSigmoid: alpha 0.2", "Clip: /e/Clip: between -1",
            "com.example.Mine: /f/Mine", "MaxPool: /g/MaxPool: a dilated pool")
    one, six = tensor("b", numpy.ones(1, "f4")), tensor("b", numpy.full(1, 6, "f4"))
    refused(model([node("Max", ["x", "b"], ["y"], "bound")], [PICTURE], [ANSWER], [one]), "1 node ", "Max: bound: of a tensor and 1")
    refused(model([node("Min", ["x", "b"], ["y"], "bound")], [PICTURE], [ANSWER], [six]), "1 node ", "Min: bound: of a tensor and 6")
    refused(model([node("ReduceMax", ["x"], ["y"], "top", axes=[1])], [PICTURE], [ANSWER]), "1 node ", "only the maximum over height and width")
    refused(model([node("Transpose", ["x"], ["y"], "turn", perm=[0, 2, 3, 1])], [PICTURE], [ANSWER]), "1 node ", "Transpose: turn: the order")
    refused(model([node("Reshape", ["x", "s"], ["y"], "shape")], [PICTURE], [ANSWER], [tensor("s", numpy.array([1, 3, 4, 16], "i8"))]), "only flattening")
    for evil in EVIL:
        refused(model([node(evil or "?", ["x"], ["y"], evil, domain=evil)], [PICTURE], [ANSWER]), "1 node ")


def hostile_names():
    """Each name stands everywhere a name can stand."""
    for number, evil in enumerate(EVIL):
        other = evil + "2"
        content = model([node("Conv", [evil or "x", evil + ".weight"], [other], evil), node("Conv", [other, other + ".weight"], [other + "c"], evil + "/" + evil + "/Conv"),
                         node("Add", [other, other + "c"], ["sum"], "/" + evil + "/Add"), node("Relu", ["sum"], [other + "r"], evil), node("Sigmoid", [other + "r"], [other + "s"], evil)],
                        [value(evil or "x", [1, 6, 8, 8])], [value(other + "r", [1, 6, 8, 8]), value(other + "s", [1, 6, 8, 8])],
                        [tensor(evil + ".weight", weights(6, 6, 1)), tensor(other + ".weight", weights(6, 6, 1, 2))])
        status, said, header, tensors = run(content, name="hostile")
        check(status == 0, f"{evil[:40]!r}: a strange name is no reason to refuse: {said[:300]}")
        if status != 0:
            continue
        check(is_harmless(header), f"{evil[:40]!r} reached the header:\n{header}")
        check(len(tensors) == 2 and all(re.fullmatch(r"[A-Za-z0-9_.-]+", name) and not name.startswith("selftest.") for name in tensors), f"{evil[:40]!r}: weights are called {list(tensors)}")
        check("\x1b" not in said and "\n\n" not in said, f"{evil[:40]!r}: the message was {said!r}")
        if number in (0, 2, 4, 15, 16, 18):
            compiles(header, repr(evil[:40]))
    for name in ("1net", "a b", "a;b", "class", "relu", "named", "a__b", "../net", "splitdsl"):
        refused(small(), "C++ name", arguments=("--name", name))
    refused(small(), "--cut", arguments=("--cut", 'r:a"b'))
    refused(small(), "no tensor of that name", arguments=("--cut", "missing"))
    refused(small(), "nothing is computed", arguments=("--cut", "x"))
    refused(small(), "nothing is computed", arguments=("--cut", "y"))
    refused(small(), "has the cut", arguments=("--cut", "r:one", "--cut", "r:two"))
    refused(small(), "two cuts", arguments=("--cut", "r:one", "--cut", "c:one"))


def names_and_weights():
    """What shares weights shares a name; what does not, does not."""
    nodes = [node("Conv", ["x", "a.weight"], ["p"], "/a/Conv"), node("Conv", ["p", "a.weight"], ["q"], "/a/Conv_1"), node("Conv", ["q", "a?weight"], ["r"], "/a/Conv_2"),
             node("Conv", ["r", "v"], ["s"], "/a/a.0/Conv"), node("Conv", ["s", "selftest.weight"], ["y"], "/b/Conv")]
    arrays = [tensor(n, weights(3, 3, 1, i)) for i, n in enumerate(("a.weight", "a?weight", "v", "selftest.weight"))]
    status, said, header, tensors = run(model(nodes, [PICTURE], [value("y", [1, 3, 8, 8])], arrays))
    check(status == 0 and sorted(tensors) == ["a.0.weight", "a.weight", "a_2.weight", "selftest_.weight"], f"names were {sorted(tensors or [])}: {said}")
    if status == 0:
        check(numpy.array_equal(tensors["a_2.weight"], weights(3, 3, 1, 1)), "a_2 has another layer's weight")
        check("named(\"a\", conv(3, {.with_bias = bias::no}) | conv(3, {.with_bias = bias::no}))" in header, f"two layers share weights:\n{header}")
        compiles(header, "shared weights")
    status, said, header, tensors = run(small(), "--half", "--picture", "imagenet", "--cut", "r:uplink")
    check(status == 0 and all(a.dtype == numpy.float16 for a in tensors.values()), f"--half: {said}")
    check('input("x", u8,' in header and "normalise(imagenet)" in header and 'cut("uplink")' in header, f"--picture and --cut:\n{header}")
    compiles(header, "picture and cut")
    status, said, header, _ = run(small(), "--list-cuts")
    check(status == 0 and header is None and re.search(r"r +\(6, 8, 8\) +1536 +392", said), f"--list-cuts: {said}")
    check("Raw input: 768 bytes as f32, 192 with --picture, which then bounds encoded cuts." in said, f"--list-cuts, the input's sizes: {said}")
    status, said, _, _ = run(small(), "--list-cuts", "--picture", "imagenet")
    check(status == 0 and "Raw input: 192 bytes. Payload" in said, f"--list-cuts --picture: {said}")
    big = tensor("w", weights(6, 3) * 1e6)
    refused(model([node("Conv", ["x", "w"], ["y"], "c")], [PICTURE], [ANSWER], [big]), "half precision", arguments=("--half",))


def external_data():
    data = weights(6, 3)
    def external(**entries):
        stored = field(8, "w") + b"".join(field(1, d) for d in data.shape) + field(2, 1) + field(14, 1)
        stored += b"".join(field(13, field(1, k) + field(2, v)) for k, v in entries.items())
        return model([node("Conv", ["x", "w"], ["y"], "c")], [PICTURE], [ANSWER], [stored])
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        (folder / "data.bin").write_bytes(b"\0" * 16 + data.tobytes())
        (folder / "link.bin").symlink_to(folder / "data.bin")
        (folder / "inner").mkdir()
        (folder / "inner" / "data.bin").write_bytes(data.tobytes())
        status, said, _, tensors = run(external(location="data.bin", offset="16", length=str(data.nbytes)), folder=folder)
        check(status == 0 and numpy.array_equal(tensors["c.weight"], data), f"data beside the model: {said}")
        for location in ("../data.bin", "/etc/passwd", "inner/data.bin", "link.bin", "inner", ".", "", "missing.bin", "data.bin\0"):
            refused(external(location=location, offset="16"), "tensor w lies in", folder=folder)
        refused(external(location="data.bin", offset="17"), "needs 648 bytes", folder=folder)
        refused(external(location="data.bin", offset="9999"), "claims bytes", folder=folder)
        refused(external(location="data.bin", offset="-1"), "claims bytes", folder=folder)
        refused(external(location="data.bin", length=str(2 ** 50)), "claims bytes", folder=folder)
        refused(external(location="data.bin", offset="many"), "must be numbers", folder=folder)


def wrong_shapes():
    """--shape is for what the file leaves open: nothing that it names is ignored."""
    def sized(*dims):
        return model([node("Relu", ["x"], ["y"], "r")], [value("x", dims)], [value("y", dims)])
    refused(sized(1, 3, 8, 8), "no such input", "its inputs are x", arguments=("--shape", "picture=3,8,8"))
    refused(sized(1, 3, 8, 8), "--shape x=3,16,16: the file says (3, 8, 8)", arguments=("--shape", "x=3,16,16"))
    refused(sized(1, 3, 8, 8), "the file says (3, 8, 8)", arguments=("--shape", "x=192"))
    refused(sized("n", 3, "h", 8), "the file says (3, open, 8)", arguments=("--shape", "x=3,9,9"))
    status, said, header, _ = run(sized("n", 3, "h", "w"), "--shape", "x=3,9,7")
    check(status == 0 and "(3, 9, 7)" in said, f"an open shape is filled in: {said}")


def names_of_files():
    """A file called after a word or keyword makes a network all the same; a place that takes no files is named by its option."""
    with tempfile.TemporaryDirectory() as temporary:
        for stem in ("conv", "class", "Softmax"):
            path, said = pathlib.Path(temporary) / f"{stem}.onnx", io.StringIO()
            path.write_bytes(small())
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                status = import_onnx.main([str(path)])
            check(status == 0 and (pathlib.Path(temporary) / f"{stem.lower()}_net.hpp").exists(), f"{stem}.onnx: status {status}, {said.getvalue()[:300]}")
    for place, why in (("/dev/full", "a folder was expected"), ("/dev/null/x", "a folder was expected")):
        refused(small(), f"--out {place}: {why}", arguments=("--out", place))


def no_ordinary_files():
    with tempfile.TemporaryDirectory() as temporary:
        os.mkfifo(pathlib.Path(temporary) / "pipe.onnx")
        for path, found in ((f"{temporary}/pipe.onnx", "found a device, FIFO or socket"), ("/dev/zero", "found a device, FIFO or socket"), (temporary, "found a folder")):
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                status = import_onnx.main([path, "--name", "net", "--out", temporary])
            check(status == 1 and found in said.getvalue(), f"{path}: status {status}, {said.getvalue()[:300]}")
        check(os.listdir(temporary) == ["pipe.onnx"], f"nothing is written: {os.listdir(temporary)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", default="g++")
    parser.parse_args(namespace=OPTIONS)
    resource.setrlimit(resource.RLIMIT_AS, (2 ** 31, resource.getrlimit(resource.RLIMIT_AS)[1]))
    for part in (damaged_files, hostile_sizes, hostile_graphs, unsupported_operators, hostile_names, names_and_weights, external_data, wrong_shapes, names_of_files, no_ordinary_files):
        begin, known = time.monotonic(), len(FAULTS)
        part()
        print(f"{part.__name__}: {len(FAULTS) - known} wrong, {time.monotonic() - begin:.1f} s", flush=True)
    return 1 if FAULTS else 0


if __name__ == "__main__":
    sys.exit(main())
