#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Weights from PyTorch files: the same values arrive, every difference is named, and no file runs code or reaches beyond its bytes.

    export_weights_test.py --compiler g++     needs python3-torch; the compiler builds a small network that runs a file's self-test
"""
import argparse
import collections
import contextlib
import functools
import io
import json
import os
import pathlib
import pickle
import random
import resource
import subprocess
import sys
import tempfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
try:
    import numpy
    import torch
    import torchvision  # noqa: F401
except ImportError as problem:
    print(f"SKIPPED: exporting PyTorch's weights needs python3-torch and python3-torchvision ({problem})")
    sys.exit(0)
import export_weights  # noqa: E402
import safetensors_io  # noqa: E402
import torch_file  # noqa: E402

FAULTS = []
PROGRAM = r"""
#include <splitdsl/language.hpp>
#include <splitdsl/runtime/describe.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/self_test.hpp>
#include <iostream>
struct sorter {
    static constexpr auto graph() {
        using namespace splitdsl;
        return input("camera", u8, {.channels = 3, .height = 12, .width = 16, .layout = image_layout::hwc}) | normalise(imagenet)
             | named("stem", named("conv", conv(8, {.kernel = 3, .stride = 2})) | named("bn", batch_norm()) | relu()) | global_pool()
             | concat(identity(), input("speed", f32, values{2}))
             | select("command", named("left", dense(4)), named("right", dense(4)));
    }
};
int main(int argc, char** argv) {
    try {
        if (argc < 2) { std::cout << splitdsl::describe<sorter>(splitdsl::format::json); return 0; }
        const auto file = splitdsl::read_safetensors(argv[1]);
        const splitdsl::network_weights<sorter> weights(splitdsl::match_weights<sorter>(file, argv[1]), splitdsl::execution::compiled<sorter>());
        const auto result = splitdsl::run_self_test(file, weights);
        std::cout << result.present << " " << result.error << "\n";
    } catch (const std::exception& e) { std::cerr << e.what() << "\n"; return 1; }
}
"""


def check(truth, text):
    if not truth:
        FAULTS.append(text)
        print(f"WRONG: {text}", flush=True)


def run(*arguments):
    """(status, what was said)"""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = export_weights.main([str(a) for a in arguments])
    return status, said.getvalue()


def refused(parts, *arguments, out):
    begin = time.monotonic()
    status, said = run(*arguments, "--out", out)
    check(status == 1 and not out.exists(), f"expected a refusal that names {parts}, found status {status}: {said[:300]}")
    for part in parts:
        check(part in said, f"expected \"{part}\" in: {said[:500]}")
    check(time.monotonic() - begin < 20, f"{parts}: took {time.monotonic() - begin:.0f} s")
    check(not out.parent.is_dir() or not [p for p in out.parent.iterdir() if p.name.startswith("." + out.name)], "a part of a file was left")
    return said


def a_state():
    torch.manual_seed(3)
    base = torch.randn(40)
    return collections.OrderedDict([("stem.conv.weight", torch.randn(8, 3, 3, 3)), ("stem.bn.weight", torch.rand(8) + 0.5), ("stem.bn.bias", torch.randn(8)),
                                    ("stem.bn.running_mean", torch.randn(8)), ("stem.bn.running_var", torch.rand(8) + 0.5), ("stem.bn.num_batches_tracked", torch.tensor(7)),
                                    ("left.weight", torch.randn(10, 4).t()), ("left.bias", base[3:7]), ("right.weight", torch.randn(4, 10).double()), ("right.bias", base[::10])])


def values_arrive(folder):
    state = a_state()
    wanted = {n: t.float().numpy() for n, t in state.items() if not n.endswith("tracked")}
    files = {"zip.pt": dict(), "old.pth": dict(_use_new_zipfile_serialization=False)}
    for name, options in files.items():
        torch.save(state, folder / name, **options)
        torch.save({"epoch": 4, "lr": 0.1, "state_dict": {"module." + n: torch.nn.Parameter(t) if t.is_floating_point() else t for n, t in state.items()}}, folder / ("ck_" + name), **options)
        for source, more in ((name, []), ("ck_" + name, ["--strip-prefix", "module."]), ("ck_" + name, ["--strip-prefix", "module.", "--key", "state_dict"])):
            status, said = run(folder / source, *more, "--out", folder / "out.safetensors")
            check(status == 0, f"{source}: {said}")
            found = safetensors_io.load(folder / "out.safetensors")[0]
            check(list(found) == list(wanted) and all(numpy.array_equal(found[n], wanted[n]) for n in wanted), f"{source}: other values arrived")
    kinds = {"half": torch.randn(5).half(), "bfloat": torch.randn(6).bfloat16(), "double": torch.randn(2, 3).double(), "empty": torch.zeros(0, 3)}
    torch.save(kinds, folder / "kinds.pt")
    status, said = run(folder / "kinds.pt", "--half", "--out", folder / "out.safetensors")
    found = safetensors_io.load(folder / "out.safetensors")[0]
    check(status == 0 and all(numpy.array_equal(found[n], t.float().numpy().astype("f2")) for n, t in kinds.items()), f"types: {said}")
    for protocol in (3, 4, 5):
        torch.save(state, folder / "later.pt", pickle_protocol=protocol)
        status, said = run(folder / "later.pt", "--out", folder / "out.safetensors")
        found = safetensors_io.load(folder / "out.safetensors")[0]
        check(status == 0 and all(numpy.array_equal(found[n], wanted[n]) for n in wanted), f"pickle's protocol {protocol}: {said}")
    status, said = run("--torchvision", "squeezenet1_1", "--seed", 5, "--out", folder / "a.safetensors")
    check(status == 0, said)
    run("--torchvision", "squeezenet1_1", "--seed", 5, "--out", folder / "b.safetensors")
    run("--torchvision", "squeezenet1_1", "--seed", 6, "--out", folder / "c.safetensors")
    a, b, c = ((folder / f"{n}.safetensors").read_bytes() for n in "abc")
    check(a == b and a != c, "a seed makes one file")
    status, said = run("--torchvision", "mobilenet_v3_small", "--out", folder / "d.safetensors")
    found = safetensors_io.load(folder / "d.safetensors")[0]
    check(status == 0 and float(numpy.abs(found["features.0.1.running_mean"]).max()) > 0, f"batch-norm statistics fit noise: {said}")
    for name in ("nothing_of_the_kind", "os", "resnet", "_utils"):
        (folder / "e.safetensors").unlink(missing_ok=True)
        refused(["torchvision"], "--torchvision", name, out=folder / "e.safetensors")


def calibrated_range(folder):
    """A network whose cut has a calibrated codec: its range comes later than its weights."""
    op = {"place": "a", "macs": 0, "used": True}
    graph = {"network": "ranged", "fingerprint": "0x1", "outputs": [{"name": "output", "op": 1, "exit": False}], "cuts": [], "parameters": [{"name": "uplink.range", "shape": [2]}, {"name": "w.weight", "shape": [2, 3, 1, 1]}],
             "ops": [{**op, "index": 0, "kind": "input", "name": "i", "inputs": [], "shape": [3, 2, 2], "dtype": "f32", "layout": "chw"},
                     {**op, "index": 1, "kind": "conv", "name": "w", "inputs": [0], "shape": [2, 2, 2], "out": 2, "kernel": [1, 1], "stride": [1, 1], "padding": [0, 0, 0, 0],
                      "dilation": [1, 1], "groups": 1, "bias": False},
                     {**op, "index": 2, "kind": "quantise", "name": "uplink", "inputs": [1], "shape": [2, 2, 2], "codec": "affine_u8", "calibrated": True, "cut": True, "stream": False}]}
    graph["outputs"][0]["op"] = 2
    (folder / "ranged.json").write_text(json.dumps(graph))
    weight, out = torch.randn(2, 3, 1, 1), folder / "ranged.safetensors"
    for name, ends in (("without", None), ("zeros", torch.zeros(2))):
        torch.save({"w.weight": weight, **({} if ends is None else {"uplink.range": ends})}, folder / f"{name}.pt")
        status, said = run(folder / f"{name}.pt", "--network", folder / "ranged.json", "--out", out)
        check(status == 0 and list(safetensors_io.load(out)[0]) == ["w.weight"] and "uplink.range to be found by calibrate_codecs" in said, f"a range that is not known yet ({name}): {said}")
    torch.save({"w.weight": weight, "uplink.range": torch.tensor([-0.5, 0.25])}, folder / "known.pt")
    status, said = run(folder / "known.pt", "--network", folder / "ranged.json", "--out", out)
    answer = safetensors_io.load(out)[0].get("selftest.output.output", numpy.full(1, 9.0))
    check(status == 0 and numpy.abs(answer).max() < 0.51 and len(answer) == 8, f"a known range bounds the self-test's answer: {said}")


def against_a_network(folder, compiler):
    source, program = folder / "sorter.cpp", folder / "sorter"
    source.write_text(PROGRAM, encoding="ascii")
    done = subprocess.run([compiler, "-std=c++20", "-O1", f"-I{ROOT}", f"-I{ROOT / 'include'}", str(source), "-o", str(program)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        check(False, f"the small network does not compile: {done.stderr[:600]}")
        return
    graph = folder / "sorter.json"
    graph.write_bytes(subprocess.run([program], capture_output=True, check=True).stdout)
    out = folder / "sorter.safetensors"
    torch.save(a_state(), folder / "fits.pt")
    for more in ([], ["--half"]):
        status, said = run(folder / "fits.pt", "--network", graph, "--out", out, *more)
        check(status == 0 and "self-test" in said, f"a fitting state: {said}")
        done = subprocess.run([program, out], capture_output=True, text=True, check=False)
        present, error = (done.stdout.split() + ["", "1"])[:2]
        check(present == "1" and float(error) < 1e-5, f"the self-test in the deployment: {done.stdout}{done.stderr}")
    run(folder / "fits.pt", "--network", graph, "--out", out, "--no-selftest")
    check(not [n for n in safetensors_io.load(out)[0] if n.startswith("selftest.")], "--no-selftest")
    out = folder / "refused.safetensors"
    wrong = a_state()
    wrong["left.weight"] = torch.zeros(4, 11)
    wrong["aux.fc.weight"] = torch.zeros(2, 2)
    wrong["stem.bn.bias"][2] = float("nan")
    wrong["right.bias"] = torch.zeros(4, dtype=torch.int64)
    del wrong["stem.bn.running_var"]
    torch.save(wrong, folder / "wrong.pt")
    said = refused(["5 differences", "left.weight should have shape (4, 10), found (4, 11)", "aux.fc.weight (2, 2) is not part", "stem.bn.running_var (8,) is missing", "stem.bn.bias holds a value that is not finite",
                    "right.bias holds int64"], folder / "wrong.pt", "--network", graph, out=out)
    check("num_batches_tracked" not in said, "PyTorch's counters are no difference")
    refused(["4 differences"], folder / "wrong.pt", "--network", graph, "--ignore", "aux.", out=out)
    refused(["--strip-prefix module.: 10 of 10 names"], folder / "fits.pt", "--strip-prefix", "module.", out=out)
    large = a_state()
    large["left.bias"] = torch.full((4,), 1e6)
    torch.save(large, folder / "large.pt")
    refused(["left.bias holds values beyond half"], folder / "large.pt", "--half", out=out)
    for text in ("", "{", "[]", "{}", '{"parameters": 3}', '{"parameters": [{"name": "a"}]}', '{"parameters": [{"name": "a", "shape": [1e999]}]}', '{"parameters": []}', "[" * 100000):
        (folder / "bad.json").write_text(text, encoding="ascii")
        refused(["is not what describe"], folder / "fits.pt", "--network", folder / "bad.json", out=out)
    for key, value in (("kind", "nonsense"), ("inputs", [99]), ("shape", None), ("name", None)):
        changed = json.loads(graph.read_text(encoding="utf-8"))
        changed["ops"][2][key] = value
        (folder / "bad.json").write_text(json.dumps(changed), encoding="ascii")
        refused(["expected a network that PyTorch can run for the self-test"], folder / "fits.pt", "--network", folder / "bad.json", out=out)
    refused(["--seed -1: expected 0 to 2^64 - 1"], folder / "fits.pt", "--network", graph, "--seed", -1, out=out)
    refused(["none/out.safetensors: No such file or directory"], folder / "fits.pt", out=folder / "none" / "out.safetensors")
    status, said = run(folder / "fits.pt", "--out", "/dev/full")
    check(status == 1 and "/dev/full: No space left on device" in said and not pathlib.Path("/dev/full").is_file(), f"a device is written to, not replaced: {said}")
    refused(["either a file or"], out=out)


class Runs:
    """What a hostile file would have called."""

    def __init__(self, function, *arguments):
        self.what = function, arguments

    def __reduce__(self):
        return self.what


def zipped(path, pickled, entries=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, content in entries:
            archive.writestr("archive/" + name, content)


def pickled_tensor(count, offset, size, stride, tail=b"", stored=None):
    """{"w": tensor} as torch.save pickles it, with numbers of our choice, and what follows the tensor."""
    class Name:
        def __init__(self, text):
            self.text = text

    class Writer(pickle._Pickler):
        def persistent_id(self, thing):
            return thing.text if isinstance(thing, Name) else None

    stream = io.BytesIO()
    stream.write(b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(")
    stream.write(b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + pickle.dumps(count, 2)[2:-1] + b"tQ")
    stream.write(pickle.dumps(offset, 2)[2:-1] + pickle.dumps(tuple(size), 2)[2:-1] + pickle.dumps(tuple(stride), 2)[2:-1] + b"\x89}tR" + tail + b"s.")
    return stream.getvalue()


def hostile_files(folder):
    out, bad = folder / "hostile.safetensors", folder / "bad.pt"
    witness = folder / "witness"
    for thing in (Runs(os.system, f"touch {witness}"), Runs(eval, f"open({str(witness)!r}, 'w')"), Runs(getattr, "", "upper"), Runs(print, "x"), Runs(collections.Counter, "ab")):
        for state in (thing, {"w": thing}, collections.OrderedDict(w=thing)):
            torch.save(state, bad)
            refused(["only tensors in dictionaries are read"], bad, out=out)
            torch.save(state, bad, _use_new_zipfile_serialization=False)
            refused(["only tensors in dictionaries are read"], bad, out=out)
    torch.save(torch.nn.Linear(2, 2), bad)
    refused(["torch.nn.modules.linear.Linear", "torch.save(model.state_dict(), PATH)"], bad, out=out)
    check(not witness.exists(), "a file's code was run")
    data = numpy.arange(12, dtype="f4").tobytes()
    zipped(bad, pickled_tensor(12, 2, (2, 3), (3, 1)), [("data/0", data)])
    status, said = run(bad, "--out", out)
    check(status == 0 and numpy.array_equal(safetensors_io.load(out)[0]["w"].ravel(), numpy.arange(2, 8)), f"the file made by hand is right: {said}")
    out.unlink()
    for count, offset, size, stride in ((12, 0, (13,), (1,)), (12, 7, (2, 3), (3, 1)), (12, 0, (4, 4), (0, 1)), (12, 0, (2,), (12,)), (12, -1, (2,), (1,)), (12, 0, (-2,), (1,)), (12, 2 ** 60, (1,), (1,)),
                                        (12, 0, (2,), (2 ** 47,)), (12, 0, (2, 2), (1,)), (12, 0, (1,) * 40, (1,) * 40), (12, 0, (2.5,), (1,)), (12, 0, (2 ** 40,), (0,))):
        zipped(bad, pickled_tensor(count, offset, size, stride), [("data/0", data)])
        refused([""], bad, out=out)
    for count in (11, 13, 2 ** 40, -1, 2 ** 70, 1.5):
        zipped(bad, pickled_tensor(count, 0, (2,), (1,)), [("data/0", data)])
        refused([""], bad, out=out)
    changed = b"}X\x04\x00\x00\x00size" + pickle.dumps((1000000,), 2)[2:-1] + b"sb"
    zipped(bad, pickled_tensor(12, 0, (2,), (1,), changed), [("data/0", data)])
    refused(["changes something"], bad, out=out)
    zipped(bad, pickled_tensor(12, 0, (2,), (1,)))
    refused(["the archive holds none"], bad, out=out)
    zipped(bad, pickled_tensor(12, 0, (2,), (1,)), [("data/0", data)], zipfile.ZIP_DEFLATED)
    refused(["is compressed"], bad, out=out)
    zipped(bad, b"\x80\x02]q\xff\xff\xff\x7f.", [])
    refused([""], bad, out=out)
    for pickled in (b"\x80\x02}r\xff\xff\xff\x7f.", b"\x80\x05\x96" + b"\xff" * 7 + b"\x00.", b"\x80\x02" + b"(" * 100000 + b".", b"\x80\x02\x8a\xff" + b"\xff" * 255 + b".", b"", b".", b"\x80\x02N."):
        zipped(bad, pickled)
        refused([""], bad, out=out)
    deep = {}
    for _ in range(200):
        deep = {"state_dict": deep, "model": deep}
    zipped(bad, pickle.dumps({"state_dict": deep}, 2))
    refused([""], bad, out=out)
    for value, part in ((3, "holds a int"), ([1], "holds a list"), ({}, "no tensors"), (torch.zeros(2), "holds a tensor"), ({"a": 1, "b": 2}, "no tensors, but a checkpoint of a, b"), ({"w": torch.zeros(2), "n": 1}, "no tensors under a name: n"),
                        ({3: torch.zeros(2)}, "no tensors under a name: 3")):
        torch.save(value, bad)
        refused([part], bad, out=out)
    torch.save({"a": {"w": torch.zeros(2)}}, bad)
    refused(['no dictionary "b"', "found: a"], bad, "--key", "b", out=out)
    for content in (b"", b"PK\x03\x04", b"hello", bytes(4096), b"\x80\x02" * 50):
        bad.write_bytes(content)
        refused([""], bad, out=out)


def no_ordinary_files(folder):
    os.mkfifo(folder / "pipe.pt")
    for path in (folder / "pipe.pt", "/dev/zero"):
        refused(["expected an ordinary file, found a device, FIFO or socket"], path, out=folder / "none.safetensors")
    refused(["expected an ordinary file, found a folder"], folder, out=folder / "none.safetensors")
    for seed in (-1, 2 ** 64):
        refused([f"--seed {seed}: expected 0 to 2^64 - 1"], "--torchvision", "squeezenet1_1", "--seed", seed, out=folder / "none.safetensors")


def damaged_files(folder):
    state = {"a.weight": torch.randn(4, 3), "a.bias": torch.randn(4)}
    out, bad = folder / "damaged.safetensors", folder / "bad.pt"
    rng, taken = random.Random(4), 0
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        torch.save(state, folder / "whole.pt", **options)
        whole = (folder / "whole.pt").read_bytes()
        for length in range(0, len(whole), 7):
            bad.write_bytes(whole[:length])
            status, said = run(bad, "--out", out)
            check(status == 1, f"{length} of {len(whole)} bytes were taken: {said}")
        for _ in range(1000):
            content = bytearray(whole)
            for _ in range(rng.choice((1, 1, 3))):
                content[rng.randrange(len(content))] = rng.randrange(256)
            bad.write_bytes(content)
            status, said = run(bad, "--out", out)
            check(status in (0, 1), f"status {status}: {said}")
            taken += status == 0
    check(0 < taken < 2000, f"{taken} of 2000 damaged files were taken")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", default="g++")
    options = parser.parse_args()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for part in (values_arrive, calibrated_range, functools.partial(against_a_network, compiler=options.compiler), no_ordinary_files, hostile_files, damaged_files):
            if part in (hostile_files, damaged_files):
                resource.setrlimit(resource.RLIMIT_AS, (2 ** 33, resource.getrlimit(resource.RLIMIT_AS)[1]))
            begin, known = time.monotonic(), len(FAULTS)
            part(folder)
            print(f"{getattr(part, '__name__', 'against_a_network')}: {len(FAULTS) - known} wrong, {time.monotonic() - begin:.1f} s", flush=True)
    return 1 if FAULTS else 0


if __name__ == "__main__":
    sys.exit(main())
