#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Training of FLEET's network: its pooling is the codec's bit for bit, a resumed run ends where an unbroken one does, and what is recorded fits.

    train_fleet_test.py --compiler g++ [--sim PATH/splitdsl-sim]     needs python3-torch; on invented pictures, a few steps a recipe
"""
import argparse
import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
try:
    import numpy
    import torch
    from PIL import Image  # noqa: F401
except ImportError as problem:
    print(f"SKIPPED: training needs python3-torch and python3-pil ({problem})")
    sys.exit(0)
import learn_channel_order  # noqa: E402
import safetensors_io  # noqa: E402
import fleet_scenario  # noqa: E402
import train_fleet  # noqa: E402
import train_fleet_wide  # noqa: E402
from train_fleet_pooling import Ladder, pool_to, through_steps, to_steps  # noqa: E402

FAULTS = []
CHANNELS = 3
# Reads maps (f32), writes what the decoder rebuilds at the largest size when all levels up to one are there, for every level (f32). Stride 0: levels are widths.
PROGRAM = r"""
#include <splitdsl/codec/dynamic_pool_stream.hpp>
#include <cstdio>
#include <cstdlib>
#include <vector>
int main(int argc, char** argv) {
    const int side = std::atoi(argv[1]), stride = std::atoi(argv[2]);
    std::vector<int> sizes;
    for (int i = 3; i < argc; ++i) sizes.push_back(std::atoi(argv[i]));
    splitdsl::width_choice widths{.count = static_cast<int>(sizes.size())};
    for (std::size_t i = 0; i < sizes.size() && i < widths.channels.size(); ++i) widths.channels[i] = sizes[i];
    const splitdsl::pool_shape shape{.channels = CHANNELS, .height = side, .width = side, .stride = stride};
    const auto made = stride == 0 ? splitdsl::try_pool_ladder(shape, widths) : splitdsl::try_pool_ladder(shape, sizes);
    if (made.fault != splitdsl::pool_fault::none) { std::fputs(splitdsl::sentence(made.fault), stderr); return 1; }
    splitdsl::dynamic_pool_encoder encoder{made.ladder};
    splitdsl::dynamic_pool_decoder decoder{made.ladder};
    const int last = made.ladder.levels - 1;
    std::vector<float> map(static_cast<std::size_t>(CHANNELS * side * side)), out(static_cast<std::size_t>(CHANNELS * made.ladder.values(last)));
    while (std::fread(map.data(), 4, map.size(), stdin) == map.size()) {
        encoder.pool(map.data());
        decoder.start();
        for (int level = 0; level <= last; ++level) {
            if (decoder.take(level, encoder.encode(level)) != splitdsl::level_fault::none) return 1;
            decoder.rebuild(last, out.data());
            std::fwrite(out.data(), 4, out.size(), stdout);
        }
    }
}
"""


def check(what, holds):
    if not holds:
        FAULTS.append(what)
        print(f"FAULT: {what}")


def pooling_is_the_codecs(compiler, folder):
    source, program = folder / "pool.cpp", folder / "pool"
    source.write_text(PROGRAM.replace("CHANNELS", str(CHANNELS)))
    subprocess.run([compiler, "-std=c++20", "-O0", "-I", str(ROOT / "include"), str(source), "-o", str(program)], check=True)
    torch.manual_seed(5)
    for side, sizes in ((16, (3, 4, 5, 6, 7, 8)), (8, (3, 4, 6, 8)), (32, (4, 6, 8)), (16, (2, 3, 8, 9, 12, 16))):
        ladder = Ladder(sizes[-1], sizes)
        maps = torch.randn(20, CHANNELS, side, side)
        maps[:8] = maps[:8].relu()                                # without values below zero, another quantiser
        maps[0] = 0
        found = subprocess.run([str(program), str(side), str(side // ladder.base), *map(str, sizes)], input=maps.numpy().tobytes(), check=True, capture_output=True)
        found = torch.from_numpy(numpy.frombuffer(found.stdout, numpy.float32).copy()).reshape(20, len(sizes), CHANNELS, sizes[-1], sizes[-1])
        patches = pool_to(maps, sizes[-1])
        steps, scale, _ = to_steps(patches)
        want = torch.stack(ladder.received(patches), 1)
        # Means of patches may round a value to the next step: their sums are taken in another order.
        off = ((found - want).abs() / scale[:, None]).amax((2, 3, 4))
        check(f"pooling of {side} x {side} to {sizes}: {int((off > 0.01).sum())} of {off.numel()} tensors differ from the codec's", float((off > 0.01).float().mean()) < 0.02)
        check(f"pooling of {side} x {side} to {sizes}: values differ from the codec's by more than a step's rounding allows", float(off.max()) < 2.01)
        # For training: means, to within the integer form's two roundings an octave.
        level = torch.arange(len(sizes)).repeat(20)
        plain = ladder.means(patches.repeat_interleave(len(sizes), 0), level).reshape(want.shape)
        worst = float(((plain - want).abs() / scale[:, None]).max())
        check(f"pooling of {side} x {side} to {sizes}: means for training differ by {worst} steps", worst < 2.6)
        check("a size of which nothing came is zeros", float(ladder.means(patches[:1], torch.tensor([-1])).abs().max()) == 0)


def widths_are_the_codecs(program):
    """`program`: of pooling_is_the_codecs."""
    torch.manual_seed(6)
    maps = torch.randn(20, CHANNELS, 8, 8)
    maps[:8] = maps[:8].relu()
    maps[0] = 0
    found = subprocess.run([str(program), "8", "0", "1", str(CHANNELS)], input=maps.numpy().tobytes(), check=True, capture_output=True)
    found = torch.from_numpy(numpy.frombuffer(found.stdout, numpy.float32).copy()).reshape(20, 2, CHANNELS, 8, 8)
    sent = through_steps(maps)
    want = torch.stack([sent * (torch.arange(CHANNELS) < width)[None, :, None, None] for width in (1, CHANNELS)], 1)
    check("a width that is recorded is the codec's, bit for bit", torch.equal(found, want))


def run(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        sys.argv = ["train_fleet.py", *map(str, arguments)]
        train_fleet.main()
    return out.getvalue()


def run_wide(*arguments):
    with contextlib.redirect_stdout(io.StringIO()):
        sys.argv = ["train_fleet_wide.py", *arguments]
        train_fleet_wide.main()


class Useful:
    """Streams of which each channel takes its share off the loss, whatever the others do; the second stream's shares are others."""

    def __init__(self, *shares):
        self.shares, self.large = shares, [torch.zeros(1, len(s), 1, 1) for s in shares]

    def with_channels(self, stream, channels, others_small=False):
        return sum(self.shares[stream]) - sum(self.shares[stream][c] for c in channels), 0


def channels_are_ordered(folder, few):
    """`few`: options of a run whose fleet phase is finished, with its weights exported to weights.safetensors."""
    check("the most useful channel comes first, and equals as they come", learn_channel_order.greedy(Useful([1, 5, 3, 5]), [0], True) == [1, 3, 2, 0])
    check("streams that share an order share what it is worth", learn_channel_order.greedy(Useful([1, 5, 3], [9, 0, 1]), [0, 1], True) == [0, 1, 2])
    with contextlib.redirect_stdout(io.StringIO()):
        sys.argv = ["learn_channel_order.py", "--work", str(folder / "whole"), "--pictures", "64", "--held-out", "64", "--weights", str(folder / "ordered.safetensors"), *few]
        learn_channel_order.main()
    found = json.loads((folder / "whole" / "channel_order.json").read_text())
    orders = [s["order"] for s in found["streams"].values()]
    check(f"every stream has an order of its channels: {orders}", len(orders) == 4 and all(sorted(o) == [0, 1, 2, 3] for o in orders))
    check(f"the order is another one than the channels': {orders}", any(o != [0, 1, 2, 3] for o in orders))
    check("with all channels the order does not matter", all(len({w["loss"][-1] for w in s[others].values()}) == 1 for s in found["streams"].values() for others in ("small", "absent")))
    before, after = (safetensors_io.load(folder / f"{n}.safetensors")[0] for n in ("weights", "ordered"))
    check("ordered weights are the same tensors", before.keys() == after.keys() and all(before[n].shape == after[n].shape for n in before))
    moved = orders[0]
    check("a stream's channels come in its order", numpy.array_equal(after["conv1.weight"][:4], before["conv1.weight"][moved]) and numpy.array_equal(after["conv1.weight"][4:], before["conv1.weight"][4:]))
    worst = max(float(numpy.abs(before[n].astype(numpy.float32) - after[n].astype(numpy.float32)).max()) for n in before if n.startswith("selftest.output."))
    check(f"ordered weights answer as before: {worst}", worst < 2e-3)


def mobilenet_is_the_zoos(folder):
    try:
        import torchvision  # noqa: F401
    except ImportError:
        print("SKIPPED: MobileNetV3 needs torchvision")
        return
    sys.path.insert(0, str(ROOT / "tests" / "zoo"))
    import fleet_models
    from train_fleet_mobilenet import FleetMobileNetV3
    from train_fleet_recipes import Fleet, layer_macs
    own, zoos = FleetMobileNetV3(classes=100).eval(), fleet_models.FleetMobileNetV3("cifar").eval()
    zoos.load_state_dict(own.state_dict())
    with torch.inference_mode():
        x = torch.randn(2, 3, 32, 32)
        check("MobileNetV3 trains what the zoo declares", float((own(x) - zoos(x)).abs().max()) < 1e-6)
    text = (ROOT / "examples" / "sim" / "m33_cifar.toml").read_text()
    layers, exits, _ = layer_macs(own)
    stages = [int(n) for n in re.findall(r"(?m)^macs = (\d+)", text)]
    check(f"its multiplications are the scenario's: {layers}, {stages}", layers[:13] == stages[:13] and exits == [int(n) for n in re.findall(r"(?m)^exit_macs = (\d+)", text)])
    recipe = Fleet(argparse.Namespace(network="mobilenet_v3_cifar", depth=4, blocks=2, sizes=(3, 4, 5, 6, 7, 8), draws=2))
    loss = recipe.loss(torch.randn(6, 3, 32, 32), torch.arange(6), torch.Generator().manual_seed(1), 0.5)
    loss.backward()
    check("its loss reaches the stem and every fusion", all(p.grad is not None and float(p.grad.abs().sum()) > 0 for n, p in recipe.named_parameters() if n == "model.features.0.0.weight"))
    if os.environ.get("SPLITDSL_TEST_FULL") == "1":
        work = ("--work", folder / "mobile", "--synthetic", 64, "--threads", 1, "--device", "cpu", "--network", "mobilenet_v3_cifar")
        for recipe in ("trunk", "fleet", "shallow_deep", "ensemble", "whole", "partition"):
            run("train", "--recipe", recipe, "--epochs", 1, "--batch", 32, *work)
        check("a ResNet's phase is no MobileNet's", "trained with --network mobilenet_v3_cifar" in refused("train", "--recipe", "fleet", "--work", folder / "mobile", "--synthetic", 64))
        run("record", "--pictures", 4, *work)
        tensors, _ = safetensors_io.load(folder / "mobile" / "answers.safetensors")
        cloud = tensors["fleet.cloud"]
        check(f"its streams are recorded in their sizes: {cloud.shape}", cloud.shape == (4, 8, 7, 6, 10) and not numpy.isnan(cloud[:, 1:7]).any()
              and numpy.isnan(cloud[:, 7, :, 2:]).all() and not numpy.isnan(cloud[:, 7, :, :2]).any())
        run("export", "--weights", folder / "mobile.safetensors", *work)
        check("its weights have the zoo's names", {n.removesuffix(".num_batches_tracked") for n in zoos.state_dict() if not n.endswith("num_batches_tracked")}
              <= safetensors_io.load(folder / "mobile.safetensors")[0].keys())


STAND_IN = """#!{python}
import json, sys
asked = dict(zip(sys.argv[2::2], sys.argv[3::2]))
sizes = range(int(asked["--smallest"]), int(asked["--largest"]) + 1)
json.dump({{"levels": [{{"size": s, "lifted_rice": s * s + int(asked["--side"]) / 100}} for s in sizes]}}, open(asked["--json"], "w"))
"""


def scenario_is_written(folder, sim):
    """The networks of a scenario made from what was recorded are those of the scenario that stands in examples/."""
    bench = folder / "measures"                                    # in place of bench_dynamic_pool, whose bytes are those of trained streams
    bench.write_text(STAND_IN.format(python=sys.executable))
    bench.chmod(0o755)

    def made(*more):
        sys.argv = ["fleet_scenario.py", "--base", str(ROOT / "examples" / "sim" / "cifar_recorded.toml"), "--bench", str(bench), "--into", str(folder / "made.toml"), *map(str, more)]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
            return fleet_scenario.main(), err.getvalue()
    status, err = made("--work", folder / "whole")
    check(f"a scenario is made of what was recorded: {err}", status == 0)
    own, stands = ((f.read_text().split("[[policy]]")[0]) for f in (folder / "made.toml", ROOT / "examples" / "sim" / "cifar_recorded.toml"))
    for key in ("macs", "exit_macs", "cloud_macs", "payload"):
        one, other = (re.findall(rf"(?m)^{key} = (.*?) *(?:#.*)?$", text) for text in (own, stands))
        check(f"its {key} are those of the scenario for this network: {one}, {other}", one == other and one)
    check("streams have the bytes that were measured", "stream = [9, 16, 25, 36, 49, 64]" in own)
    if sim:
        done = subprocess.run([sim, str(folder / "made.toml"), "--frames", "100"], capture_output=True, text=True)
        check(f"it runs: {done.stderr}", done.returncode == 0)
    (folder / "bare").mkdir()
    (folder / "bare" / "summary.json").write_text("{}")
    for work, says in ((folder / "bare", 'expected "network"'), (folder / "nowhere", "found none")):
        status, err = made("--work", work)
        check(f"refused in one sentence that has {says!r}: {status} {err!r}", status == 2 and says in err and err.count("\n") == 1)


def refused(*arguments):
    try:
        run(*arguments)
    except SystemExit as end:
        return str(end)
    return ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--sim")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        pooling_is_the_codecs(options.compiler, folder)
        widths_are_the_codecs(folder / "pool")

        few = ("--synthetic", 128, "--threads", 1, "--device", "cpu")
        start = ("--batch", 32, "--work", folder / "whole", *few)
        cut = ("--batch", 32, "--work", folder / "cut", *few)
        check("a phase without what it starts from says which to run first", "run train_fleet.py train --recipe trunk first" in refused("train", "--recipe", "fleet", *start))
        check("a batch of more pictures than there are is refused", "--batch of at most the 128 pictures" in refused("train", "--recipe", "trunk", "--batch", 129, "--work", folder / "cut", *few))
        check("more draws than streams are refused", "--draws of at most the 4 streams, found 9" in refused("train", "--recipe", "fleet", "--draws", 9, "--work", folder / "cut", *few))
        (folder / "file").write_text("")
        for work, says in ((folder / "file", "File exists"), (folder / "file" / "x", "Not a directory")):
            check(f"a --work that is no folder is named: {says}", f"{work}: {says}" in refused("train", "--recipe", "trunk", "--work", work, *few))
        check("invented pictures are not taken for CIFAR-10", "to hold those of CIFAR-10, found 128 invented pictures" in refused("train", "--recipe", "trunk", "--work", folder / "cut"))
        for work in (start, cut):
            run("train", "--recipe", "trunk", "--epochs", 2, *work)
        run("train", "--recipe", "fleet", "--epochs", 2, *start)
        run("train", "--recipe", "fleet", "--epochs", 2, "--stop-after", 6, *cut)
        check("an interrupted phase is not recorded", "run train_fleet.py train --recipe fleet again" in refused("record", "--work", folder / "cut", *few))
        check("a resumed phase says where it goes on", "going on behind epoch 1" in run("train", "--recipe", "fleet", "--epochs", 2, *cut))
        unbroken, resumed = (torch.load(folder / w / "fleet.pt")["model"] for w in ("whole", "cut"))
        differing = [n for n in unbroken if not torch.equal(unbroken[n], resumed[n])]
        check(f"a resumed run ends as an unbroken one: {differing[:4]} differ", not differing)
        trunk = torch.load(folder / "whole" / "trunk.pt")["model"]
        check("joint training moves the trunk", not torch.equal(trunk["model.conv1.weight"], unbroken["model.conv1.weight"]))

        check("time that is up ends a phase, and it can be recorded",
              "0 of 4 steps" in run("train", "--recipe", "branchynet", "--epochs", 1, "--minutes", 1e-9, *start))
        for recipe in ("shallow_deep", "ensemble", "whole", "partition"):
            run("train", "--recipe", recipe, "--epochs", 1, *start)
        run("record", "--pictures", 40, "--work", folder / "whole", *few)
        tensors, _ = safetensors_io.load(folder / "whole" / "answers.safetensors")
        want = {"labels": (40,), "fleet.trunk": (40, 10), "fleet.local": (40, 6, 10), "fleet.cloud": (40, 4, 7, 6, 10), "fleet.offload": (40, 3, 10),
                "branchynet.trunk": (40, 10), "branchynet.local": (40, 6, 10), "branchynet.offload": (40, 3, 10), "shallow_deep.trunk": (40, 10),
                "shallow_deep.local": (40, 6, 10), "shallow_deep.offload": (40, 3, 10), "ensemble.trunk": (40, 10), "ensemble.local": (40, 3, 10),
                "cascade.trunk": (40, 10), "cascade.local": (40, 1, 10), "cascade.offload": (40, 3, 10),
                "whole.trunk": (40, 10), "whole.offload": (40, 3, 10), "neurosurgeon.trunk": (40, 10), "neurosurgeon.offload": (40, 9, 10),
                "clio.trunk": (40, 10), "clio.offload": (40, 7, 10)}
        found = {n: a.shape for n, a in tensors.items()}
        check(f"recorded tensors: expected {want}, found {found}", found == want)
        cloud = tensors["fleet.cloud"]
        check("only a first stream with one before it is not recorded", numpy.isnan(cloud[:, 0, 1:]).all() and not numpy.isnan(cloud[:, 0, 0]).any() and not numpy.isnan(cloud[:, 1:]).any())
        check("logits are of half precision", all(a.dtype == numpy.float16 for n, a in tensors.items() if n != "labels"))
        check("the size of either stream changes the answer", (cloud[:, 1, 0] != cloud[:, 1, 3]).any() and (cloud[:, 1, 2, 0] != cloud[:, 1, 2, 5]).any())

        run("export", "--weights", folder / "weights.safetensors", "--work", folder / "whole", *few)
        weights, about = safetensors_io.load(folder / "weights.safetensors")
        check("weights have the zoo's names", {"conv1.weight", "layer2.0.bn1.running_var", "exits.6.bias", "fusion.4.0.weight", "cloud.layer3.1.conv2.weight"} <= weights.keys())
        check("a family's weights stay below 1 MB", (folder / "weights.safetensors").stat().st_size < 1_000_000 and about["network"] == "fleet_cifar_resnet<2>")

        run("export", "--recipe", "partition", "--weights", folder / "clio.safetensors", "--work", folder / "whole", *few)
        clio, about = safetensors_io.load(folder / "clio.safetensors")
        check(f"CLIO's network and widths are named: {about}", about["network"] == "clio_cifar_resnet<2>" and about["widths"] == "4 8 16 32")
        check("CLIO's weights have the zoo's names and no others", {n.split(".")[0] for n in clio} == {"conv1", "bn1", "layer1", "layer2", "layer3", "linear", "cloud", "selftest"}
              and "cloud.layer2.1.conv1.weight" in clio and not any(n.startswith("cloud.layer2.0.") for n in clio))
        whole, partition = (torch.load(folder / "whole" / f"{n}.pt")["model"] for n in ("whole", "partition"))
        check("the device's part is the whole network's, the cloud's is not", torch.equal(whole["model.layer2.1.conv1.weight"], partition["model.layer2.1.conv1.weight"])
              and not torch.equal(partition["tail.layer2.1.conv1.weight"], partition["model.layer2.1.conv1.weight"]))
        check("each width has answers of its own", all((tensors["clio.offload"][:, i] != tensors["clio.offload"][:, i + 1]).any() for i in range(3, 6)))
        check("a network that is not there is refused", "expected --network resnet with --recipe partition" in refused("export", "--recipe", "partition", "--weights", folder / "x", "--network", "mobilenet_v3_cifar", "--work", folder / "whole"))

        (folder / "other").mkdir()
        phase = torch.load(folder / "whole" / "trunk.pt")
        for content, says in (([1, 2], "expected what a phase saves, found something else"), ({"a": torch.zeros(2)}, "(without model)"), ({**phase, "options": {}}, "(without all options)"),
                              ({**phase, "model": {}}, "expected the weights of this network, found others"), (phase, "expected the weights of this network, found others")):
            torch.save(content, folder / "other" / "fleet.pt")      # the last one's own trunk, without streams and cloud
            said = refused("export", "--weights", folder / "x", "--work", folder / "other", *few)
            check(f"a phase of something else is not exported: {said}", says in said and not (folder / "x").exists())
        torch.save({**phase, "model": {}}, folder / "other" / "trunk.pt")
        check("a phase without weights is nothing to start from", "expected a phase of this network to start from" in refused("train", "--recipe", "shallow_deep", "--work", folder / "other", *few))
        torch.save({**phase, "finished": False, "optimiser": {}}, folder / "other" / "trunk.pt")
        check("an optimiser's state that is none is refused", "expected the state of this optimiser, found another" in refused("train", "--recipe", "trunk", "--work", folder / "other", *few))
        (folder / "other" / "pictures" / "about.json").write_text("{")
        check("pictures of nobody are refused", "about.json: expected what an earlier run wrote" in refused("train", "--recipe", "trunk", "--work", folder / "other", *few))

        scenario_is_written(folder, options.sim)
        channels_are_ordered(folder, ("--synthetic", "128"))
        mobilenet_is_the_zoos(folder)

        more = ("--work", str(folder / "whole"), "--synthetic", "128", "--threads", "1", "--batch", "32", "--epochs", "1")
        run_wide("train", *more[:-4], "--batch", "2", "--epochs", "1")      # most streams are drawn by no picture of a batch
        for verb in ("train", "record"):
            run_wide(verb, *more)
        wide, _ = safetensors_io.load(folder / "whole" / "answers_wide.safetensors")
        check("wide streams leave the other answers alone", all(numpy.array_equal(wide[n], a, equal_nan=a.dtype != numpy.uint8) for n, a in tensors.items()))
        check("wide streams leave the device as it was", all(numpy.array_equal(wide[f"wide.{n}"], tensors[f"shallow_deep.{n}"]) for n in ("trunk", "local")))
        check(f"wide streams are recorded in their sizes: {wide['wide.cloud'].shape}", wide["wide.cloud"].shape == (40, 4, 5, 4, 10)
              and not numpy.isnan(wide["wide.cloud"][:, 1:]).any() and (wide["wide.cloud"][:, 1, 0] != wide["wide.cloud"][:, 1, 3]).any())
        state = torch.load(folder / "whole" / "wide.pt")["model"]
        before = torch.load(folder / "whole" / "shallow_deep.pt")["model"]
        check("wide streams train the cloud's layers alone", torch.equal(state["model.layer2.1.bn1.running_mean"], before["model.layer2.1.bn1.running_mean"])
              and not torch.equal(state["model.cloud.layer2.1.conv1.weight"], before["model.layer2.1.conv1.weight"]))

        if options.sim:                                           # the scenarios read what the tools record
            grid = (ROOT / "examples" / "sim" / "cifar_grid.toml").read_text()
            grid = re.sub(r'(?m)^file = ".*"', f'file = "{folder / "whole" / "answers_wide.safetensors"}"', grid)
            grid = re.sub(r'(?m)^profiles = "(.*)"', lambda m: f'profiles = "{(ROOT / "examples" / "sim" / m[1]).resolve()}"', grid)
            grid = grid[:grid.index("[sweep]")] + "[sweep]\nloss = [0, 1]\n"
            (folder / "grid.toml").write_text(grid)
            done = subprocess.run([options.sim, str(folder / "grid.toml"), "--frames", "200"], capture_output=True, text=True)
            check(f"the grid runs on wide streams: {done.stderr}", done.returncode == 0 and done.stdout.count(" of 2 points where ") == 3)
            text = (ROOT / "examples" / "sim" / "cifar_recorded.toml").read_text()
            text = re.sub(r'(?m)^file = ".*"', f'file = "{folder / "whole" / "answers.safetensors"}"', text)
            text = re.sub(r'(?m)^profiles = "(.*)"', lambda m: f'profiles = "{(ROOT / "examples" / "sim" / m[1]).resolve()}"', text)
            text = text[:text.index("[sweep]")]
            (folder / "scenario.toml").write_text(text)
            done = subprocess.run([options.sim, str(folder / "scenario.toml"), "--frames", "200"], capture_output=True, text=True)
            check(f"the scenario runs on recorded logits: {done.stderr}", done.returncode == 0 and "synthetic" not in done.stdout.lower())
    print(f"{len(FAULTS)} faults")
    sys.exit(1 if FAULTS else 0)


if __name__ == "__main__":
    main()
