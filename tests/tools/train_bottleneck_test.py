#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""The papers' losses against values by hand, what is frozen stays bit for bit, and both stages of BottleFit's training on invented pictures.

    train_bottleneck_test.py --compiler g++     needs numpy and PyTorch
"""
import argparse
import contextlib
import io
import json
import math
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
try:
    import numpy
    import torch
except ImportError as problem:
    print(f"SKIPPED: training needs python3-numpy and python3-torch ({problem})")
    sys.exit(0)
import command_line  # noqa: E402
import safetensors_io  # noqa: E402
import train_bottleneck  # noqa: E402
from distillation import feature_distance, freeze, mixed_loss, soft_distance  # noqa: E402
from noisy_channel import NoisyChannel  # noqa: E402
from splitdsl_torch import GraphModule, affine_quantise, load_graph  # noqa: E402
from training_steps import claimed, descend, load_saved, save_whole  # noqa: E402

NETWORKS = """
#include <splitdsl/runtime/describe.hpp>
#include <splitdsl/zoo/bottlefit_cifar_resnet.hpp>
#include <splitdsl/zoo/bottlenet_cifar_resnet.hpp>
#include <splitdsl/zoo/deepcod_cifar_resnet.hpp>
#include <cstdio>
#include <string_view>
using namespace splitdsl;
struct branches {
    static constexpr auto graph() {
        return input("image", f32, {.channels = 2, .height = 4, .width = 4}) | named("trunk", conv(3, {.kernel = 3})) | relu() | global_pool()
             | select("command", named("left", dense(2)), named("right", dense(2)), named("straight", dense(2)));
    }
};
template <int Kernel> struct small {
    static constexpr auto graph() {
        return input("image", u8, {.channels = 3, .height = 32, .width = 32}) | normalise(imagenet) | named("first", conv(4, {.kernel = Kernel})) | relu()
             | named("second", conv(4, {.kernel = 3})) | global_pool() | named("linear", dense(10));
    }
};
struct with_range {
    static constexpr auto graph() {
        return input("image", f32, {.channels = 2, .height = 4, .width = 4}) | head("edge", named("stem", conv(1, {.kernel = 3})))
             | cut("uplink", affine_u8(calibrated)) | tail("cloud", global_pool());
    }
};
int main(int, char** argv) {
    const std::string_view which = argv[1];
    if (which == "teacher") std::puts(describe<zoo::cifar_resnet20<32, 32, 10, zoo::no_cuts>>(format::json).c_str());
    if (which == "student") std::puts(describe<zoo::bottlefit_cifar_resnet20<>>(format::json).c_str());
    if (which == "plus_plus") std::puts(describe<zoo::bottlenet_cifar_resnet20<zoo::bottlenet_choice{.form = zoo::bottlenet_form::plus_plus}>>(format::json).c_str());
    if (which == "deepcod") std::puts(describe<zoo::deepcod_cifar_resnet20<>>(format::json).c_str());
    if (which == "kernel3") std::puts(describe<small<3>>(format::json).c_str());
    if (which == "kernel5") std::puts(describe<small<5>>(format::json).c_str());
    if (which == "with_range") std::puts(describe<with_range>(format::json).c_str());
    if (which == "branches") std::puts(describe<branches>(format::json).c_str());
}
"""
FAULTS = []


def check(truth, text):
    if not truth:
        FAULTS.append(text)
    print(("ok      " if truth else "WRONG   ") + text, flush=True)


def near(a, b, bound=1e-6):
    return abs(float(a) - b) <= bound * max(1, abs(b))


def losses():
    s, t = torch.tensor([[[[1.0, 2.0]]], [[[0.0, -1.0]]]]), torch.tensor([[[[1.5, 0.0]]], [[[0.0, 1.0]]]])
    check(near(feature_distance([s], [t]), (0.25 + 4 + 0 + 4) / 2), "features: the sum of squares of a picture")
    check(near(feature_distance([s, s[:, :, :, :1]], [t, t[:, :, :, 1:]], [1.0, 0.5]), (8.25 + 0.5 * (1 + 1)) / 2), "features: layers add up, each with its factor")
    for other in (lambda: feature_distance([s], []), lambda: feature_distance([], []), lambda: feature_distance([s], [t[:, :, :, :1]])):
        try:
            other()
            check(False, "features: layers that do not fit are refused")
        except ValueError:
            pass
    taught = t.clone().requires_grad_(True)
    learnt = s.clone().requires_grad_(True)
    feature_distance([learnt], [taught]).backward()
    check(taught.grad is None and torch.equal(learnt.grad, s - t), "features: the gradient is 2 (s - t) / batch, and none for the teacher")

    logits, wanted, labels = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[math.log(2), 0.0]]), torch.tensor([0])    # q = 1/4, 3/4; p = 2/3, 1/3
    kl = 2 / 3 * math.log((2 / 3) / (1 / 4)) + 1 / 3 * math.log((1 / 3) / (3 / 4))
    check(near(soft_distance(logits, wanted), kl), f"soft targets: KL(teacher || student) = {kl:.6f}")
    check(near(mixed_loss(logits, wanted, labels), 0.5 * math.log(4) + 0.5 * kl), "mixed: half the cross entropy, half the divergence")
    check(near(mixed_loss(logits, wanted, labels, alpha=0.9), 0.9 * math.log(4) + 0.1 * kl), "mixed: alpha is the labels' share")
    check(near(soft_distance(logits, wanted, kind="logits"), 0.5 * (math.log(2) ** 2 + math.log(3) ** 2)), "soft targets: half the squared distance of logits")
    check(near(soft_distance(logits, wanted, kind="probabilities"), 0.5 * 2 * (2 / 3 - 1 / 4) ** 2), "soft targets: of probabilities")
    generator = torch.Generator().manual_seed(1)
    student, teacher = (torch.randn(3, 5, generator=generator) for _ in range(2))
    for temperature in (1.0, 4.0):
        own = student.clone().requires_grad_(True)
        soft_distance(own, teacher, temperature).backward()
        expected = temperature * (torch.softmax(student / temperature, 1) - torch.softmax(teacher / temperature, 1)) / 3
        check(torch.allclose(own.grad, expected, atol=1e-6), f"soft targets: temperature {temperature:g} scales the gradient as T (q - p)")


def state_of(model):
    return {n: t.clone() for n, t in model.state_dict().items()}


def frozen(folder):
    model = GraphModule(load_graph(folder / "student.json"))
    before = state_of(model)
    model.train()
    learning = freeze(model, ["bottleneck.encoder", "linear"])
    optimiser = torch.optim.SGD(learning, lr=0.1, momentum=0.9, weight_decay=5e-4)
    picture = torch.randint(0, 256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    for _ in range(2):
        optimiser.zero_grad()
        model({"image": picture})["output"].square().sum().backward()
        optimiser.step()
    after, still = state_of(model), ("bottleneck.encoder.", "linear.")
    check(all(torch.equal(before[n], after[n]) for n in before if n.startswith(still)), "frozen layers, their statistics too, are the same bit for bit")
    check(all(not torch.equal(before[n], after[n]) for n in before if n.startswith(("bottleneck.decoder", "layer3")) and n.endswith(("weight", "running_mean"))), "the others have moved")

    model = GraphModule(load_graph(folder / "branches.json"))
    output = model({"image": torch.randn(2, 2, 4, 4), "command": torch.tensor([[1], [1]], dtype=torch.uint8)})["output"]
    output.square().sum().backward()
    moved = {n: p.grad is not None and bool(p.grad.abs().sum() > 0) for n, p in model.named_parameters()}
    check(all(moved[n] == (not n.startswith(("left", "straight"))) for n in moved), f"only the branch of the command learns: {sorted(n for n in moved if moved[n])}")


def divergence():
    weight = torch.nn.Parameter(torch.ones(3))
    optimiser = torch.optim.SGD([weight], lr=0.1)
    try:
        descend(optimiser, (weight * math.inf).sum(), 0.1)
        check(False, "a loss that is not finite is refused")
    except ValueError as problem:
        check("expected a finite loss, found inf" in str(problem) and torch.equal(weight.data, torch.ones(3)), f"a loss that is not finite moves no weight: {problem}")


def checkpoints(folder):
    path = folder / "one.checkpoint"
    save_whole(path, {"a": torch.ones(3)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for write, file in ((lambda: save_whole(path, {"a": torch.zeros(5000)}), path), (lambda: safetensors_io.save(folder / "one.safetensors", {"a": numpy.zeros(5000, "f4")}), folder / "one.safetensors")):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))    # in place of a full disk
        found = None
        try:
            write()
        except OSError as problem:
            found = problem
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        check(found is not None and found.filename == str(file), f"what does not fit the disk is an error that names the file: {found}")
    check(torch.equal(load_saved(path)["a"], torch.ones(3)), "the checkpoint before is still there")
    check([f.name for f in folder.iterdir() if f.name.startswith((".one", "one"))] == ["one.checkpoint"], "no part of a file is left")
    with claimed(path):
        child = os.fork()
        if child == 0:
            try:
                with claimed(path):
                    os._exit(0)
            except ValueError as problem:
                os._exit(7 if "expected no other run that writes it" in str(problem) else 1)
        check(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7, "a second run on the same checkpoint is refused")
    with claimed(path):
        check(True, "and may go on when the first has ended")
    child = os.fork()
    if child == 0:
        with claimed(path):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with claimed(path):
        check(True, "a killed run leaves no claim")


def weights_files(folder):
    path, half = folder / "bytes.safetensors", numpy.array([1.0, -2.5, 3e38], "<f4")
    def written(header, body):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + body)
        return path
    one, two = ({"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}, {"dtype": "U8", "shape": [], "data_offsets": [6, 7]})
    body = (half.view("<u4") >> 16).astype("<u2").tobytes() + b"\x07"
    found, about = safetensors_io.load(written({"b": two, "a": one, "__metadata__": {"x": "y"}}, body))
    want = ((half.view("<u4") >> 16) << 16).view("<f4")
    check(numpy.array_equal(found["a"], want) and found["b"].shape == () and found["b"] == 7 and about == {"x": "y"}, "BF16 widens, a tensor may have no dimension")
    for header, content, part in (({"a": one, "b": {**two, "data_offsets": [5, 6]}}, body, "b should begin at byte 6, found 5"), ({"a": one}, body, "expected 7 bytes of tensors, found 6"),
                                  ({"b": two}, body, "b should begin at byte 0, found 6"), (b'{"a":' + json.dumps(one).encode() + b',"a":' + json.dumps(one).encode() + b"}", body[:6], "a should appear once"),
                                  ({"a": {**one, "dtype": "F64"}}, body, "known are F16, F32, U8, I32, I64 and BF16"), ({"a": one, "__metadata__": [1]}, body[:6], "expected texts by name")):
        try:
            safetensors_io.load(written(header, content))
            check(False, f"weights are refused: {part}")
        except ValueError as problem:
            check(part in str(problem), f"weights are refused: {problem}")


def inputs(folder):
    model = GraphModule(load_graph(folder / "branches.json"))
    try:
        model({"image": torch.zeros(2, 2, 4, 4), "command": torch.zeros(1, 2, dtype=torch.uint8)})
        check(False, "a batch of commands in a row is refused")
    except ValueError as problem:
        check("input command is (2,), the network declares (1, 1, 1)" in str(problem), f"a batch of commands in a row is no batch: {problem}")
    model = GraphModule(load_graph(folder / "kernel3.json")).to("meta")     # stands for any device but the processor
    check(model({"image": torch.zeros(2, 3, 32, 32, dtype=torch.uint8, device="meta")})["output"].shape == (2, 10, 1, 1), "a network with normalise runs where its weights are")


def calibrated_codec(folder):
    model = GraphModule(load_graph(folder / "with_range.json")).eval()
    check(tuple(model.state_dict()["uplink.range"].shape) == (2,), "a calibrated codec's range is in the module's state")
    x = torch.linspace(-1, 3, 16).reshape(1, 1, 4, 4)
    codec = model.places[next(op["index"] for op in model.ops if op["kind"] == "quantise")]
    check(torch.equal(codec(x), affine_quantise(x)), "a range that is not known yet is each sample's own")
    model.load_state_dict({"uplink.range": torch.tensor([-0.51, 2.04])}, strict=False)  # scale 0.01, zero point 51
    check(near(codec(x).min(), -0.51) and near(codec(x).max(), 2.04) and near(codec(torch.full((1, 1, 1, 1), 1.234)), 1.23, 1e-5), "a known one bounds the values")


def channel():
    x = torch.linspace(0, 1, 52, requires_grad=True).repeat(400, 1)    # whole steps of 1 / 255, five apart

    def sent(**options):
        return NoisyChannel(generator=torch.Generator().manual_seed(4), **options)(x)
    check(torch.equal(sent(), x), "a channel without noise or erasures leaves values as they are")
    noisy = sent(deviation=0.1) - x
    check(near(noisy.std(), 0.1, 0.01) and near(noisy.mean(), 0, 0.002), f"noise: deviation {noisy.std():.4f} about {noisy.mean():.4f}")
    check(torch.allclose(sent(erased=1.0), torch.full_like(x, 0.5)), "all bits erased: half of each is half of all")
    gone = sent(erased=0.25)                                           # three quarters of the way from one half to the value, on average
    check(float((gone.mean(0) - (0.5 + 0.75 * (x[0] - 0.5))).abs().max()) < 0.03, "a quarter of the bits erased draws values that far towards one half")
    check(bool(((gone * 510 - (gone * 510).round()).abs() < 1e-3).all()) and 0.4 < float((gone != x).float().mean()) < 0.95, "what arrives is made of whole and half bits, and most values lost one")
    check(torch.equal(sent(erased=0.25), gone) and torch.allclose(torch.autograd.grad(gone.sum(), x)[0], torch.ones_like(x)), "the same seed erases the same bits; the gradient passes straight through")
    check([*map(int, train_bottleneck.spread(torch.arange(10), 4))] == [0, 2, 5, 7] and len(train_bottleneck.spread(torch.arange(10), 25)) == 10
          and len(train_bottleneck.spread(torch.arange(10), 0)) == 10, "some of the pictures are spread over the whole set, which is in the order of its classes")


def stages(folder):
    rng = numpy.random.default_rng(3)
    teacher = GraphModule(load_graph(folder / "teacher.json"))
    for parameter in teacher.parameters():
        parameter.data += 0.01 * torch.from_numpy(rng.standard_normal(tuple(parameter.shape)).astype("float32"))
    weights = {n: t.numpy() for n, t in teacher.state_dict().items() if not n.endswith("num_batches_tracked")}
    safetensors_io.save(folder / "teacher.safetensors", weights)
    work = folder / "work"

    def words_of(verb, *more):
        return [verb, "--student", folder / "student.json", "--work", work, "--synthetic", 256, "--threads", 1, "--teacher", folder / "teacher.json",
                 "--teacher-weights", folder / "teacher.safetensors", "--epochs", 2, "--batch", 32, *more]

    def run(verb, *more):
        ran = subprocess.run([sys.executable, ROOT / "tools" / "train_bottleneck.py", *map(str, words_of(verb, *more))], capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            check(False, f"{verb} {more}: status {ran.returncode}: {ran.stderr[-500:]}")

    def refused(verb, *more):
        """(status, what was said) of a run in this process, which spares it PyTorch's start."""
        said, sys.argv = io.StringIO(), ["train_bottleneck.py", *map(str, words_of(verb, *more))]
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                command_line.run(train_bottleneck.main)
        except SystemExit as end:
            return (1, end.code) if isinstance(end.code, str) else (end.code, said.getvalue())
        return 0, "nothing was refused"

    def inside(verb, *more):
        status, said = refused(verb, *more)
        check(status == 0, f"{verb} {more[:4]}: status {status} {said[-200:] if status else ''}")

    def result(name):
        return json.loads((work / f"{name}.json").read_text()), torch.load(work / f"{name}.pt")

    def figures(name):
        found = json.loads((work / f"{name}.json").read_text())
        return found["accuracy"], found["accuracy_with_codec"]

    match = ["--match", "layer2=bottleneck.decoder", "layer3"]
    run("head", *match)
    about, first = result("head")
    shared = [n for n in first if n.startswith(("layer3", "linear")) and not n.endswith("num_batches_tracked")]
    check(len(shared) > 20 and all(numpy.array_equal(first[n].numpy(), weights[n]) for n in shared), f"stage 1: {len(shared)} tensors of the tail are the teacher's, bit for bit")
    check(about["mean_loss"][1] < about["mean_loss"][0] and 0 <= about["accuracy"] <= 1, f"stage 1: the distance falls, {about['mean_loss']}")
    run("head", *match, "--name", "again")
    again = result("again")[1]
    check(all(torch.equal(first[n], again[n]) for n in first), "stage 1: the same seed gives the same weights")
    run("head", "--match", "layer2=bottleneck.decoder", "--name", "one_layer")
    one = result("one_layer")[0]
    check(one["mean_loss"][0] < about["mean_loss"][0], "one layer's distance is a part of the generalised one")

    run("tune", "--from", "head", "--loss", "kd", "--frozen", "bottleneck.encoder")
    second = result("tune")[1]
    check(all(torch.equal(first[n], second[n]) for n in first if n.startswith("bottleneck.encoder")), "stage 2: a frozen encoder is stage 1's, bit for bit")
    check(not torch.equal(first["linear.weight"], second["linear.weight"]) and not torch.equal(first["bottleneck.decoder.2.weight"], second["bottleneck.decoder.2.weight"]), "stage 2: decoder and tail learn")
    run("tune", "--from", "head", "--name", "fine")
    check(not torch.equal(first["bottleneck.encoder.0.weight"], result("fine")[1]["bottleneck.encoder.0.weight"]), "stage 2 without --frozen: the encoder learns too")
    run("test", "--from", "tune")
    check(figures("test") == figures("tune"), f"test: a stage's own figures, {figures('test')}")

    def seeded(name, seed):
        torch.manual_seed(seed)
        module = GraphModule(load_graph(folder / f"{name}.json"))
        safetensors_io.save(folder / f"{name}_{seed}.safetensors", {n: t.numpy() for n, t in module.state_dict().items()})
        return module.state_dict()

    # A prior at the cut: two rates; then what stage 2 leaves alone. A channel behind the codec.
    coded = ["--student", folder / "deepcod.json", *match, "--rate", 0.01]
    inside("head", *coded, "--name", "loose")
    inside("head", *coded, "--name", "tight", "--beta", 300)
    loose, tight = (json.loads((work / f"{name}.json").read_text())["mean_payload_bytes"] for name in ("loose", "tight"))
    check(tight < 0.9 * loose, f"a prior: {tight:.1f} bytes a picture where a nat costs 300, {loose:.1f} where none does")
    inside("tune", "--student", folder / "deepcod.json", "--from", "tight", "--frozen", "bottleneck.encoder", "--name", "behind")
    before, after = result("tight")[1], result("behind")[1]
    check(all(torch.equal(before[n], after[n]) for n in before if n.startswith(("bottleneck.encoder", "bottleneck.entropy_bottleneck"))) and not torch.equal(before["linear.weight"], after["linear.weight"]),
          "a prior: stage 2 leaves it and the encoder as they were, bit for bit")
    inside("tune", "--student", folder / "plus_plus.json", "--noise", 0.1, "--erased", 0.01, "--name", "noisy")
    about, _ = result("noisy")
    check(0 <= about["accuracy_over_channel"] <= 1 and about["noise"] == 0.1 and about["erased"] == 0.01 and "accuracy_over_channel" not in json.loads((work / "tune.json").read_text()),
          f"a channel: {about['accuracy_over_channel']:.3f} over it, {about['accuracy_with_codec']:.3f} without")

    inside("jpeg", "--qualities", 5, 90)
    rows = json.loads((work / "jpeg.json").read_text())["jpeg"]
    check([r["quality"] for r in rows] == [5, 90] and 200 < rows[0]["mean_bytes"] < rows[1]["mean_bytes"] < 3072 and all(0 <= r["accuracy"] <= 1 for r in rows),
          f"pictures as JPEG: {rows[0]['mean_bytes']:.0f} and {rows[1]['mean_bytes']:.0f} bytes")

    taught = seeded("kernel3", 5)
    run("head", "--match", "second", "--name", "kernel", "--teacher", folder / "kernel3.json", "--teacher-weights", folder / "kernel3_5.safetensors", "--student", folder / "kernel5.json",
        "--rate", 0.01)
    about, learnt = result("kernel")
    check(about["mean_loss"][1] < about["mean_loss"][0] and torch.equal(learnt["second.weight"], taught["second.weight"])
          and not torch.equal(learnt["first.bias"], taught["first.bias"]), f"a layer with another kernel than the teacher's learns, {about['mean_loss']}")

    seeded("teacher", 6)
    (work / "junk.pt").write_text("nothing that torch.save wrote")
    (work / "cut.pt").write_bytes((work / "head.pt").read_bytes()[:3000])
    (work / "cut.checkpoint").write_bytes((work / "head.checkpoint").read_bytes()[:3000])
    infinite = {**weights, "linear.bias": numpy.full_like(weights["linear.bias"], numpy.inf)}
    safetensors_io.save(folder / "infinite.safetensors", infinite)
    (folder / "shapeless.safetensors").write_bytes(len(b'{"a":{"dtype":"F32"}}').to_bytes(8, "little") + b'{"a":{"dtype":"F32"}}')

    broken = dict(weights)
    del broken["conv1.weight"]
    safetensors_io.save(folder / "broken.safetensors", broken)
    for words, part in ((["head", "--match", "layer9"], "--match layer9: the teacher has no layer of that name"), (["head", "--match", "layer1=layer3", "--name", "x"], "expected layers of one shape"),
                        (["head"], "head: expected --match TEACHER[=STUDENT], found none"), (["tune", "--frozen", "nothing"], "--frozen nothing: the student has no layer of that name"),
                        (["tune", "--alpha", 2], "--alpha: expected 0 to 1, found 2"), (["tune", "--erased", 2], "--erased: expected 0 to 1, found 2"),
                        (["head", *match, "--beta", -1], "a --beta of 0 to 1000000 and a --noise of 0 to 1000, found -1 and 0"), (["tune", "--noise", "nan"], "found 0 and nan"), (["tune", "--from", "never"], "never.pt: No such file"),
                        (["head", *match, "--teacher-weights", folder / "broken.safetensors"], "found no conv1.weight of the right shape"),
                        (["tune", "--seed", 7], "which differs in loss, from, frozen, from_weights, seed: give another --name"),
                        (["head", *match, "--teacher-weights", folder / "teacher_6.safetensors"], "which differs in teacher_weights: give another --name"),
                        (["head", *match, "--teacher-weights", folder / "infinite.safetensors", "--name", "x"], "expected finite weights, found a value that is not in linear.bias"),
                        (["head", *match, "--teacher-weights", folder / "shapeless.safetensors", "--name", "x"], "a should have a dtype, a shape and two data_offsets"),
                        (["head", *match, "--teacher-weights", "/dev/zero", "--name", "x"], "/dev/zero: expected an ordinary file, found a device"),
                        (["tune", "--from", "junk", "--name", "x"], "junk.pt: expected what an earlier run saved"), (["tune", "--from", "cut", "--name", "x"], "cut.pt: expected what an earlier run saved"),
                        (["tune", "--name", "cut"], "cut.checkpoint: expected what an earlier run saved"), (["tune", "--from", "kernel", "--name", "x"], "kernel.pt: expected the weights of this network, found others"),
                        (["tune", "--name", "a/b"], "names of files in --work, without a folder, found a/b"), (["head", "--match", "=layer3"], "--match: expected TEACHER"),
                        (["head", *match, "--frozen", "linear"], "head: --frozen is for tune"), (["tune", "--match", "layer3"], "tune: --match is for head"), (["test"], "test: expected --from NAME, found none")):
        by_options = "--alpha" in part or "--erased" in part or part.startswith((words[0] + ":", "names of files", "--match: expected", "a --beta", "found 0 and nan"))
        status, said = refused(*words)
        check(part in said and status == (2 if by_options else 1), f"{' '.join(map(str, words))[:60]}: {said.strip().splitlines()[-1][:160]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", default="g++")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        (folder / "networks.cpp").write_text(NETWORKS)
        subprocess.run([options.compiler, "-std=c++20", "-O0", f"-I{ROOT / 'include'}", f"-I{ROOT}", folder / "networks.cpp", "-o", folder / "networks"], check=True)
        for name in ("teacher", "student", "branches", "kernel3", "kernel5", "with_range", "plus_plus", "deepcod"):
            (folder / f"{name}.json").write_text(subprocess.run([folder / "networks", name], capture_output=True, text=True, check=True).stdout)
        losses()
        frozen(folder)
        divergence()
        channel()
        checkpoints(folder)
        weights_files(folder)
        inputs(folder)
        calibrated_codec(folder)
        stages(folder)
    print(f"{len(FAULTS)} wrong")
    return 1 if FAULTS else 0


if __name__ == "__main__":
    sys.exit(main())
