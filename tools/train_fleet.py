# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Trains FLEET's network with exits and its baselines on CIFAR-10, records their logits for splitdsl-sim, and writes the weights.

    train_fleet.py train --recipe trunk --epochs 10       then fleet, branchynet, shallow_deep, ensemble, whole, partition
    train_fleet.py record                                 WORK/answers.safetensors (docs/fleet.md, "Recorded logits"), WORK/summary.json
    train_fleet.py export --weights FILE                  f16, named as zoo::fleet_cifar_resnet (or zoo::fleet_mobilenet_v3) wants them
    train_fleet.py export --recipe partition --weights FILE    the same for zoo::clio_cifar_resnet: CLIO live, one set of weights for all its widths

--network mobilenet_v3_cifar trains FLEET's MobileNetV3 for 32 x 32 pictures in place of the CIFAR ResNet, with the same recipes; name another --work for it.

Pictures: DATA/cifar10/{train_1..5,test}.zip, decoded once into WORK/pictures. DATA is --data or SPLITDSL_DATA; --synthetic N invents N pictures instead.
Everything goes below --work (out/fleet). A phase saves WORK/RECIPE.pt every epoch and goes on from it when started again; what it draws is a function of the
seed and the step alone, so a resumed run sees what an unbroken one would. --minutes N ends a phase in time: the learning rate then falls with the clock
where that is ahead of the steps, so such a run cannot be repeated exactly.

| recipe | what is trained | loss |
|---|---|---|
| trunk | the network without exits, from nothing | cross entropy |
| fleet | trunk, the device's exits, fusion and the cloud's layers together, from the trunk | that of every exit (Eq. 8); each picture draws streams and a pair of sizes, all pairs alike |
| branchynet | trunk and the device's exits, from the trunk | 0.05 for the first two exits, 0.1 for those between, 0.4 for the last (FLEET section 4.1) |
| shallow_deep | the same | 1 for the last; for the others from 0.01 to their share of the multiplications, growing with training |
| ensemble | two networks of fewer layers, from the trunk's first layers | cross entropy |
| whole | the network without exits, from the trunk, on pictures as they are and as JPEG: what the cloud runs on inputs | cross entropy |
| partition | NeuroSurgeon's and CLIO's cloud part behind the first block of the second stage (MobileNetV3: layer 5, as in FLEET); the device's is `whole`'s | cross entropy; each picture draws a size, or a width: the first channels, the others 0 |
"""
import argparse
import json
import math
import os
import pathlib
import sys
import time

os.environ.setdefault("GOMP_SPINCOUNT", "0")  # threads that wait on a busy machine should sleep, not spin

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import packages

packages.require("numpy", "torch")

import numpy
import torch

import safetensors_io
from command_line import run
from train_fleet_network import folded, normalise
from train_fleet_pictures import QUALITIES, load, moved, prepare
from train_fleet_recipes import MAKE, NETWORKS, cloud_macs, layer_macs, member_macs
from training_steps import claimed, descend, halved, load_checkpoint, load_saved, save_checkpoint, take_state

RECIPES = ("trunk", "fleet", "branchynet", "shallow_deep", "ensemble", "whole", "partition")
PEAK_RATE = {"trunk": 0.3, "partition": 0.05}     # of the others: 0.1
RECORDED_AT_ONCE = 250


# ---- training ---------------------------------------------------------------------------------------------------------------------------------------


def rate_at(progress, peak, warm=0.15):
    return peak * (progress / warm if progress < warm else 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm))))


def checkpoint(options, recipe):
    return pathlib.Path(options.work) / f"{recipe}.pt"


def require_phase(path, saved):
    """That this is what a phase saves of itself, whatever it trains."""
    kinds = {"model": dict, "step": int, "epoch": int, "seconds": (int, float), "finished": bool, "options": dict}
    lacking = [k for k, kind in kinds.items() if not isinstance(saved, dict) or not isinstance(saved.get(k), kind)]
    if lacking or not {"blocks", "depth", "sizes", "seed"} <= saved["options"].keys():
        raise ValueError(f"{path}: expected what a phase saves, found something else that torch.save wrote (without {lacking[0] if lacking else 'all options'})")


def finished(options, recipe):
    """A phase's state, or what to do about its lack."""
    path, phase = checkpoint(options, recipe), "train_fleet_wide.py train" if recipe == "wide" else f"train_fleet.py train --recipe {recipe}"
    if not path.exists():
        raise ValueError(f"expected {path}: run {phase} first")
    saved = load_saved(path, "cpu")
    require_phase(path, saved)
    if not saved["finished"]:
        raise ValueError(f"{path} stopped in epoch {saved['epoch']}: run {phase} again")
    for name in ("network", "blocks", *(("depth",) if recipe in ("fleet", "wide") else ())):             # no other phase has streams
        there, asked = saved["options"].get(name, NETWORKS[0]), getattr(options, name, NETWORKS[0])      # older files name no network
        if there != asked:
            raise ValueError(f"{path} was trained with --{name} {there}, not {asked}")
    return saved


def take_rounded(path, module, state):
    """All of a phase's weights, as they are stored: in half precision."""
    take_state(path, module, state)
    module.load_state_dict({**module.state_dict(), **{n: torch.from_numpy(a.astype(numpy.float32)) for n, a in halved(state).items()}})


def train(options):
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    torch.manual_seed(options.seed)
    recipe = MAKE[options.recipe](options)
    if options.recipe == "fleet" and options.draws > recipe.model.streams:
        raise SystemExit(f"train_fleet.py: expected --draws of at most the {recipe.model.streams} streams, found {options.draws}")
    if options.recipe != "trunk" and options.start != "nothing":
        recipe.start_from(finished(options, options.start or ("whole" if options.recipe == "partition" else "trunk"))["model"])
    folder = prepare(options)                    # behind all that may be refused: decoding takes minutes
    recipe = recipe.to(device, memory_format=torch.channels_last)
    path, epoch, used, step = checkpoint(options, options.recipe), 0, 0.0, 0
    optimiser = torch.optim.SGD(recipe.trained(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    if saved := load_checkpoint(path, recipe, optimiser, device):
        require_phase(path, saved)
        epoch, used, step = saved["epoch"], saved["seconds"], saved["step"]
        if saved["finished"]:
            print(f"{options.recipe}: {path} is finished", flush=True)
            return
        print(f"{options.recipe}: going on behind epoch {epoch}", flush=True)
    pictures = [load(folder, f"train{name}") for name in recipe.encodings]
    labels = load(folder, "train_labels")
    an_epoch = len(labels) // options.batch
    if an_epoch == 0:
        raise SystemExit(f"train_fleet.py: expected a --batch of at most the {len(labels)} pictures, found {options.batch}")
    steps, peak = options.epochs * an_epoch, options.rate or PEAK_RATE.get(options.recipe, 0.1)
    budget = 60 * options.minutes if options.minutes else math.inf
    began, sums, recipe = time.monotonic(), [], recipe.train()

    def save(done):
        about = {"epochs": options.epochs, "minutes": options.minutes, "seed": options.seed, "batch": options.batch, "rate": peak, "network": options.network, "blocks": options.blocks,
                 "depth": options.depth, "sizes": list(options.sizes), "draws": options.draws}
        save_checkpoint(path, recipe, optimiser, epoch=epoch, step=step, finished=done, seconds=used + time.monotonic() - began, options=about)

    while step < steps:
        progress = max(step / steps, (used + time.monotonic() - began) / budget)
        if progress >= 1:
            break
        if options.stop_after and step >= options.stop_after:
            print(f"{options.recipe}: stopped behind step {step}, as asked", flush=True)
            return
        order = numpy.random.default_rng((options.seed, step // an_epoch)).permutation(len(labels))
        chosen = torch.from_numpy(numpy.sort(order[step % an_epoch * options.batch:(step % an_epoch + 1) * options.batch]))
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
        batch = pictures[0][chosen]
        if len(pictures) > 1:
            which = torch.randint(0, len(pictures), (len(chosen),), generator=generator)
            for i in range(1, len(pictures)):
                batch[which == i] = pictures[i][chosen[which == i]]
        truth = labels[chosen].to(device)
        loss = recipe.loss(normalise(moved(batch, generator).to(device)), truth, generator, progress)
        sums.append(descend(optimiser, loss, rate_at(progress, peak)))
        step += 1
        if step % 50 == 0 or step % an_epoch == 0:
            pace = options.batch * len(sums) / max(1e-9, time.monotonic() - began) if step <= 50 else 0
            print(f"{options.recipe} step {step}/{steps} loss {sum(sums[-50:]) / len(sums[-50:]):.4f} {used + time.monotonic() - began:.0f} s"
                  + (f", {pace:.0f} pictures/s" if pace else ""), flush=True)
        if step % an_epoch == 0:
            epoch = step // an_epoch
            if step < steps:
                save(False)
    save(True)
    print(f"{options.recipe}: {step} of {steps} steps, {step / an_epoch:.1f} epochs, {used + time.monotonic() - began:.0f} s", flush=True)


# ---- recording --------------------------------------------------------------------------------------------------------------------------------------


def stored(options, recipe):
    """A finished phase's module with the weights that `export` writes."""
    saved = finished(options, recipe)
    module = MAKE[recipe](argparse.Namespace(**{**vars(options), "sizes": tuple(saved["options"]["sizes"])}))
    take_rounded(checkpoint(options, recipe), module, saved["model"])
    return module.eval(), saved


def over(pictures, device, compute):
    """compute(normalised pictures) -> arrays, a few pictures at a time, put together."""
    parts = []
    with torch.inference_mode():
        for first in range(0, len(pictures), RECORDED_AT_ONCE):
            x = normalise(pictures[first:first + RECORDED_AT_ONCE].to(device)).contiguous(memory_format=torch.channels_last)
            parts.append([a.to("cpu", torch.float32).numpy().astype(numpy.float16) for a in compute(x)])
    return [numpy.concatenate(p) for p in zip(*parts)]


def cloud_answers(recipe, tail, sent):
    """(pictures, streams, sizes + 1, sizes, classes) from what each stream sends; NaN where a first stream would have one before it."""
    m, ladders = recipe.model, recipe.ladders
    sizes = len(recipe.ladder.sizes)
    received = [[torch.zeros_like(s), *ladder.received(s)] for s, ladder in zip(sent, ladders)]
    logits = torch.full((sent[0].shape[0], m.streams, sizes + 1, sizes, m.classes), math.nan)
    for k in range(m.streams):
        for before in range(len(ladders[k - 1].sizes) + 1 if k else 1):
            for here in range(1, len(ladders[k].sizes) + 1):
                logits[:, k, before, here - 1] = m.rest(tail, m.fuse(k, received[k - 1][before] if k else None, received[k][here]))
    return logits


def answers_of(name, recipe, pictures, encoded, device):
    """What one phase's network answers, by names of its own: {name: (pictures, ..., classes) in half precision}."""
    m = recipe.model

    def whole(x):
        return [m.trunk(x)[0]]

    def exits(x):
        logits, seen = m.trunk(x)
        return logits, torch.stack(m.local(seen), 1)

    def members(x):
        return [torch.stack(recipe.ensemble(x), 1)]

    def behind_cut(x):
        y = recipe.at_cut(x)
        kept = torch.arange(y.shape[1], device=y.device)[None, :, None, None]
        return torch.stack([m.rest(recipe.tail, r) for r in recipe.ladder.received(y)], 1), torch.stack([m.rest(recipe.tail, y * (kept < w)) for w in m.widths], 1)

    tail = folded(m.cloud) if name == "fleet" else None

    def everything(x):
        logits, seen = m.trunk(x)
        return logits, torch.stack(m.local(seen), 1), cloud_answers(recipe, tail, recipe.at_streams(seen))
    if name == "whole":
        return {"inputs": numpy.stack([over(p, device, whole)[0] for p in encoded], 1)}
    compute, names = {"branchynet": (exits, ("trunk", "local")), "shallow_deep": (exits, ("trunk", "local")), "ensemble": (members, ("members",)),
                      "partition": (behind_cut, ("sizes", "widths")), "fleet": (everything, ("trunk", "local", "cloud"))}[name]
    return dict(zip(names, over(pictures, device, compute)))


def recorded(options, name, count):
    """A phase's answers, from WORK/recorded_NAME.safetensors if they are this checkpoint's."""
    recipe, saved = stored(options, name)
    folder, work = pathlib.Path(options.work) / "pictures", pathlib.Path(options.work)
    path, made_from = work / f"recorded_{name}.safetensors", f"step {saved['step']}, {saved['seconds']:.3f} s, {count} pictures"
    if path.exists():
        tensors, about = safetensors_io.load(path)
        if about.get("made_from") == made_from:
            return tensors, recipe, saved
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    recipe, began = recipe.to(device, memory_format=torch.channels_last), time.monotonic()
    pictures = load(folder, "test")[:count]
    encoded = [*(load(folder, f"test_jpeg{q}")[:count] for q in QUALITIES), pictures]
    tensors = answers_of(name, recipe, pictures, encoded, device)
    if name == "fleet":
        write_streams(work, recipe.model, pictures[:2 * RECORDED_AT_ONCE], device)
    safetensors_io.save(path, tensors, {"made_from": made_from})
    print(f"{name}: recorded in {time.monotonic() - began:.0f} s", flush=True)
    return tensors, recipe, saved


def record(options):
    folder, work = prepare(options), pathlib.Path(options.work)
    labels = numpy.load(folder / "test_labels.npy")[:options.pictures or None]
    summary = {"pictures": len(labels), "data": json.loads((folder / "about.json").read_text()), "phases": {}}
    have = {}
    for name in RECIPES[1:]:
        if name in (options.recipes or RECIPES) and checkpoint(options, name).exists():
            have[name], recipe, saved = recorded(options, name, len(labels))
            summary["phases"][name] = {**saved["options"], "steps": saved["step"], "seconds": round(saved["seconds"])}
            if name == "fleet":
                summary["layers"], summary["exits"], summary["last"] = layer_macs(recipe.model)
                m = recipe.model
                summary["cloud"], summary["network"] = cloud_macs(m), f"resnet{6 * options.blocks + 2}" if options.network == "resnet" else options.network
                summary["exit_layers"], summary["sizes"] = list(m.exit_layers), list(recipe.ladder.sizes)
                with torch.inference_mode():
                    maps = [s.shape[2] for s in m.eval().trunk(torch.zeros(1, 3, 32, 32, device=next(m.parameters()).device))[1]]
                summary["streams"] = [{"file": stream_file(k, m.depth, side), "channels": m.depth, "side": side, "sizes": list(ladder.sizes)} for k, (side, ladder) in enumerate(zip(maps, recipe.ladders), 1)]
            elif name == "ensemble":
                summary["members"] = member_macs(recipe)
            elif name == "partition":
                m = recipe.model
                with torch.inference_mode():
                    _, channels, side, _ = recipe.at_cut(torch.zeros(1, 3, 32, 32, device=next(m.parameters()).device)).shape
                summary["partition"] = {"layer": m.cut, "channels": channels, "side": side, "sizes": list(recipe.ladder.sizes), "widths": list(m.widths)}
    if not have:
        raise SystemExit(f"train_fleet.py: expected {work} to hold finished phases, found none of {', '.join(RECIPES[1:])}")
    if "whole" not in have and {"ensemble", "partition"} & have.keys():
        raise SystemExit("train_fleet.py: ensemble and partition go with the whole network: run train --recipe whole first")
    tensors = {"labels": labels.astype(numpy.uint8), **groups_of(have)}
    halves = {"validation": slice(len(labels) // 2), "test": slice(len(labels) // 2, None)}
    summary["accuracy"] = {n: {part: accuracy(t[where], labels[where]).tolist() for part, where in halves.items()} for n, t in tensors.items() if n != "labels"}
    path = pathlib.Path(options.answers) if options.answers else work / "answers.safetensors"
    safetensors_io.save(path, tensors, {"made_by": "tools/train_fleet.py", "data": "synthetic" if options.synthetic else "cifar10, JPEG"})
    (work / "summary.json").write_text(json.dumps(summary, indent=1))
    for n, parts in summary["accuracy"].items():
        if n != "fleet.cloud":
            print(f"{n:24} {parts['test']}")
        else:
            for k, stream in enumerate(parts["test"], 1):
                print(f"{n} stream {k}: rows by the size of the stream before (none first)")
                for row in stream:
                    print("   " + " ".join("  -  " if a is None else f"{a:.3f}" for a in row))
    print(f"{path}: {path.stat().st_size} bytes")


def groups_of(have):
    """The file's groups from what the phases recorded: the cloud runs `whole` on inputs, whoever sends them."""
    inputs = have["whole"]["inputs"] if "whole" in have else None
    groups = {n: {k: have[n][k] for k in ("trunk", "local", "cloud") if k in have[n]} for n in ("fleet", "branchynet", "shallow_deep") if n in have}
    if inputs is not None:
        trunk = numpy.ascontiguousarray(inputs[:, -1])                  # of the pictures as they are
        groups["whole"] = {"trunk": trunk}
        if "ensemble" in have:
            members = have["ensemble"]["members"]
            groups["cascade"] = {"trunk": trunk, "local": numpy.ascontiguousarray(members[:, :1])}      # its small network is the first member
        if "partition" in have:
            groups["neurosurgeon"], groups["clio"] = {"trunk": trunk}, {"trunk": trunk}
        for name, group in groups.items():
            own = {"neurosurgeon": "sizes", "clio": "widths"}.get(name)
            group["offload"] = numpy.concatenate([inputs, have["partition"][own]], 1) if own else inputs
        if "ensemble" in have:
            groups["ensemble"] = {"trunk": trunk, "local": numpy.concatenate([members, trunk[:, None]], 1)}
    return {f"{name}.{what}": array for name, group in groups.items() for what, array in group.items()}


def accuracy(logits, labels):
    """Of every row of logits; none where it was not recorded."""
    flat = logits.reshape(len(labels), -1, logits.shape[-1])
    right = (flat.argmax(2) == labels[:, None]).mean(0).round(4)
    return numpy.where(numpy.isnan(flat[0, :, 0]), None, right).reshape(logits.shape[1:-1])


def stream_file(number, channels, side):
    return f"stream{number}_{channels}x{side}.f32"


def write_streams(work, m, pictures, device):
    """What the device hands to dynamic pooling, for `bench_dynamic_pool --features`: bytes a size of a real stream."""
    streams = over(pictures, device, lambda x: [s[:, :m.depth].contiguous() for s in m.trunk(x)[1][:m.streams]])
    for k, values in enumerate(streams, 1):
        values.astype("<f4").tofile(work / stream_file(k, m.depth, values.shape[2]))


# ---- weights ----------------------------------------------------------------------------------------------------------------------------------------


def self_test(m, picture):
    """A picture and every answer to it, as the library's programs check weights by them."""
    with torch.inference_mode():
        answer = m(normalise(picture)).numpy().astype(numpy.float32)
    names = ["output"]                                # as the library orders them: the trunk's, then the exits as they stand behind the layers
    for layer in range(1, m.layer_count + 1):
        names += [f"local{i}" for i, at in enumerate(m.exit_layers, 1) if at == layer]
        names += [f"cloud{layer}"] if layer <= m.streams else []
    return {"selftest.input.image": picture.numpy(), **{f"selftest.output.{n}": answer[:, i * m.classes:(i + 1) * m.classes] for i, n in enumerate(names)}}


def cut_self_test(recipe, picture):
    """The same of a network that is cut once: the trunk's answer, and the cloud's to all channels."""
    with torch.inference_mode():
        x = normalise(picture)
        answers = {"output": recipe.model.trunk(x)[0], "behind_cut": recipe.model.rest(recipe.tail, recipe.at_cut(x))}
    return {"selftest.input.image": picture.numpy(), **{f"selftest.output.{n}": torch.softmax(a, 1).numpy().astype(numpy.float32) for n, a in answers.items()}}


def cut_names(state):
    """Without the device's exits, which nobody trained; the cloud's part has names of its own."""
    return {("cloud." + n.removeprefix("tail.") if n.startswith("tail.") else n.removeprefix("model.")): a for n, a in state.items() if not n.startswith("model.exits.")}


def export(options):
    if options.recipe == "partition" and options.network != "resnet":
        raise SystemExit(f"train_fleet.py: expected --network resnet with --recipe partition, for the library has CLIO's cut of that network alone, found {options.network}")
    recipe, saved = stored(options, options.recipe)
    path, folder = pathlib.Path(options.weights), prepare(options)
    if options.recipe == "partition":
        about = {**about_weights(saved, "tools/train_fleet.py", f"clio_cifar_resnet<{options.blocks}>"), "widths": " ".join(map(str, recipe.model.widths))}
        return save_weights(path, {**cut_names(halved(saved["model"])), **cut_self_test(recipe, load(folder, "test")[:1])}, about)
    network = f"fleet_cifar_resnet<{options.blocks}>" if options.network == "resnet" else "fleet_mobilenet_v3"
    write_weights(path, recipe.model, saved, folder, "tools/train_fleet.py", network)


def write_weights(path, m, saved, folder, made_by, network):
    """A finished phase's weights under the library's names, and what they say of one picture."""
    tensors = halved(saved["model"])
    tensors = {n.removeprefix("model."): a for n, a in tensors.items()}
    tensors.update(self_test(m, load(folder, "test")[:1]))
    save_weights(path, tensors, about_weights(saved, made_by, network))


def about_weights(saved, made_by, network):
    return {"made_by": made_by, "network": network, "sizes": " ".join(map(str, saved["options"]["sizes"])), "seed": saved["options"]["seed"], "steps": saved["step"]}


def save_weights(path, tensors, about):
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors_io.save(path, tensors, about)
    print(f"{path}: {path.stat().st_size} bytes")


def carry_out(options):
    if options.verb != "train":
        return {"record": record, "export": export}[options.verb](options)
    with claimed(checkpoint(options, options.recipe)):
        train(options)


def sizes(text):
    found = tuple(map(int, text.split(",")))
    if list(found) != sorted(set(found)) or found[0] < 1 or found[-1] != 8:
        raise argparse.ArgumentTypeError(f"expected sizes from 1 that grow to 8, found {text[:40]}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog="docs/fleet.md has the exact commands.")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--work", default="out/fleet", help="folder of everything that is written (%(default)s)")
    shared.add_argument("--data", help="folder that holds cifar10/ (SPLITDSL_DATA)")
    shared.add_argument("--synthetic", type=int, default=0, metavar="N", help="N invented pictures instead of CIFAR-10")
    shared.add_argument("--network", choices=NETWORKS, default=NETWORKS[0], help="the zoo's fleet_cifar_resnet or FLEET's MobileNetV3 for 32 x 32 pictures, which needs torchvision (%(default)s)")
    shared.add_argument("--blocks", type=int, default=2, help="residual blocks a stage (%(default)s)")
    shared.add_argument("--depth", type=int, default=4, help="channels of a stream (%(default)s)")
    shared.add_argument("--sizes", type=sizes, default=(3, 4, 5, 6, 7, 8), help="of a stream, growing to 8 (3,4,5,6,7,8)")
    shared.add_argument("--threads", type=int, default=2)
    shared.add_argument("--device", help="cuda or cpu (cuda where there is one)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    t = verbs.add_parser("train", parents=[shared])
    t.add_argument("--recipe", choices=RECIPES, required=True)
    t.add_argument("--epochs", type=int, default=3)
    t.add_argument("--minutes", type=float, default=0, help="end in this time at the latest, all parts of a resumed run together")
    t.add_argument("--batch", type=int, default=128)
    t.add_argument("--rate", type=float, default=0, help="the learning rate's peak (0.3 trunk, 0.05 partition, else 0.1)")
    t.add_argument("--draws", type=int, default=2, help="fleet: streams that each picture is sent on (%(default)s)")
    t.add_argument("--start", help="the phase whose trunk this one starts from, or nothing (trunk; whole for partition)")
    t.add_argument("--seed", type=int, default=1)
    t.add_argument("--stop-after", type=int, default=0, metavar="STEP", help="end there without saving, as if interrupted")
    r = verbs.add_parser("record", parents=[shared])
    r.add_argument("--answers", help="the file to write (WORK/answers.safetensors)")
    r.add_argument("--pictures", type=int, default=0, help="only the first so many of the test set")
    r.add_argument("--recipes", nargs="+", choices=RECIPES[1:], help="only these phases (all there are)")
    e = verbs.add_parser("export", parents=[shared])
    e.add_argument("--weights", required=True)
    e.add_argument("--recipe", choices=("fleet", "partition"), default="fleet", help="whose network: FLEET's with exits, or CLIO's with one cut (%(default)s)")
    options = parser.parse_args()
    for other in (t, r, e):       # what the other verbs' modules read
        for action in other._actions:
            if action.dest != "help" and not hasattr(options, action.dest):
                setattr(options, action.dest, action.default)
    if options.blocks < 2 or options.blocks > 6 or not 1 <= options.depth <= 16:
        parser.error("expected 2 to 6 blocks and streams of 1 to 16 channels")
    refused = [f"--{name.replace('_', '-')} of at least {least}, found {getattr(options, name)}" for name, least in (("batch", 1), ("threads", 1), ("epochs", 0), ("synthetic", 0), ("seed", 0), ("pictures", 0), ("minutes", 0), ("rate", 0), ("draws", 1), ("stop_after", 0))
               if not least <= getattr(options, name) < math.inf]
    if refused:
        parser.error(f"expected {refused[0]}")
    if options.seed >= 1 << 40:
        parser.error(f"expected --seed below {1 << 40}, found {options.seed}")
    if options.device not in (None, "cpu"):
        found = torch.cuda.device_count()
        if options.device not in ("cuda", *(f"cuda:{i}" for i in range(found))):
            parser.error(f"expected --device cpu or cuda, found {options.device}")
        if not found:
            parser.error(f"expected --device cpu where PyTorch finds no GPU, found {options.device}")
    torch.set_num_threads(options.threads)
    run(lambda: carry_out(options))


if __name__ == "__main__":
    main()
