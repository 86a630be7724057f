#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Trains a declared network with a bottleneck on CIFAR-10 from the network whose place it takes, in BottleFit's two stages or as the papers' baselines do.

    train_bottleneck.py head --teacher T.json --teacher-weights T.safetensors --student S.json --work W --match layer2=bottleneck.decoder layer3
    train_bottleneck.py tune --teacher T.json --teacher-weights T.safetensors --student S.json --work W --from head --loss kd --frozen bottleneck.encoder
    train_bottleneck.py test --student S.json --work W --from tune
    train_bottleneck.py jpeg --teacher T.json --teacher-weights T.safetensors --work W

T.json and S.json are what describe<Net>(format::json) prints; what is called the same in both begins with the teacher's weights.

    head   stage 1: only the layers that the teacher does not have learn, to give the teacher's values behind each --match TEACHER[=STUDENT] (generalised head network
           distillation, BottleFit Eq. 4; with one --match it is head network distillation, SAGE Eq. 11). The labels are not used.
    tune   stage 2: all layers but those below --frozen learn from the labels (--loss ce, Eq. 5) or from labels and teacher (--loss kd, Eq. 6).
           Without --from it is the baseline of that name: conventional training, or distillation of the whole.
    test   accuracy, without the cut's codec (as trained) and with it (as in service: quantised after training)
    jpeg   the teacher's accuracy on whole pictures that were sent as JPEG files, and what these take, at each of --qualities

A student whose cut has an entropy bottleneck learns its prior in stage 1, beside a rate that --beta weighs (Ladon Eq. 1): noise stands for rounding. Stage 2 leaves the prior as
it is; freeze the encoder too. --noise and --erased put a channel behind the codec that damages what crosses (BottleNet++); the figures then say what it costs.

Writes W/NAME.pt, for tools/export_weights.py, and W/NAME.json. Page: docs/training.md.
"""
import argparse
import hashlib
import json
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
from torch.nn import functional

import safetensors_io
import train_fleet_pictures as pictures
from command_line import run, whole_number
from distillation import belongs, feature_distance, freeze, mixed_loss
from factorised_prior import FactorisedPrior, rate_distortion
from noisy_channel import NoisyChannel
from splitdsl_torch import GraphModule, load_graph
from training_steps import claimed, descend, load_checkpoint, load_saved, save_checkpoint, save_whole, take_state


def fraction(text):
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"expected 0 to 1, found {text}")
    return number


def end_of(graph, prefix, whose):
    """The op where the part that is called `prefix` ends: its last one in the graph's order."""
    ops = [op["index"] for op in graph["ops"] if belongs(op["name"], [prefix])]
    if not ops:
        raise ValueError(f"--match {prefix}: the {whose} has no layer of that name")
    return ops[-1]


def only_name(graph, key, what):
    names = [op["name"] for op in graph["ops"] if op["kind"] == "input" and op["used"]] if key == "input" else [o["name"] for o in graph["outputs"]]
    if len(names) != 1:
        raise ValueError(f"expected a {what} with one {key}, found {', '.join(names) or 'none'}")
    return names[0]


class Network:
    """A declared classifier of pictures: logits and layers' values."""

    def __init__(self, file, what):
        self.graph = load_graph(file)
        self.module = GraphModule(self.graph)
        self.picture, self.answer = only_name(self.graph, "input", what), self.graph["outputs"][0]["op"]
        only_name(self.graph, "output", what)
        shape = next(tuple(op["shape"]) for op in self.graph["ops"] if op["kind"] == "input")
        if shape != (3, 32, 32):
            raise ValueError(f"{file}: expected pictures of (3, 32, 32), found {shape}")
        self.priors = {op: (name, prior) for name, prior in self.module.named_modules() if isinstance(prior, FactorisedPrior)
                       for op, place in self.module.places.items() if place is prior}

    def values(self, batch, ops):
        return self.module.run({self.picture: batch}, ops)

    def logits(self, batch):
        return self.values(batch, [self.answer])[0].flatten(1)

    def bits(self, latents):
        """Of each picture, all priors together; `latents` as `values(batch, self.priors)` gives them."""
        return sum(prior.bits(latent) for latent, (_, prior) in zip(latents, self.priors.values(), strict=True))

    def take(self, state):
        """The tensors of `state` that have a layer's name and shape here; their names."""
        own = self.module.state_dict()
        known = {n: t for n, t in state.items() if n in own and own[n].shape == t.shape}
        self.module.load_state_dict({**own, **known})
        return known.keys()


def read_weights(file):
    tensors, _ = safetensors_io.load(file)
    wrong = [n for n, a in tensors.items() if a.dtype.kind == "f" and not numpy.isfinite(a).all()]
    if wrong:
        raise ValueError(f"{file}: expected finite weights, found a value that is not in {', '.join(wrong[:5])}")
    return {n: torch.from_numpy(a.astype("float32")) for n, a in tensors.items()}


def make_teacher(options):
    if not options.teacher or not options.teacher_weights:
        raise ValueError("expected --teacher and --teacher-weights, found no teacher")
    teacher = Network(options.teacher, "teacher")
    missing = {p["name"] for p in teacher.graph["parameters"]} - teacher.take(read_weights(options.teacher_weights))
    if missing:
        raise ValueError(f"{options.teacher_weights}: expected the teacher's weights, found no {', '.join(sorted(missing)[:5])} of the right shape")
    teacher.module.requires_grad_(False).eval()
    return teacher


def state_file(options, name):
    return pathlib.Path(options.work) / f"{name}.pt"


def start(student, options, teacher):
    """The teacher's weights where the names are the same, then an earlier stage's."""
    shared = student.take(teacher.module.state_dict()) if teacher else set()
    if options.start:
        file = state_file(options, options.start)
        take_state(file, student.module, load_saved(file))
    return shared


def whole_layers(student, shared):
    """Layers all of whose tensors are among `shared`. One that has another kernel than the teacher's of that name, but as large a bias, has to learn."""
    own = {}
    for name in student.module.state_dict():
        own.setdefault(name.rpartition(".")[0], set()).add(name)
    return {layer for layer, names in own.items() if names <= set(shared)}


def digest(file):
    """Which file it was: a run goes on from its checkpoint only with the same ones."""
    return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()[:16] if file else None


def accuracy(network, sets, quantise, channel=None, batch=500):
    network.module.eval()
    network.module.quantise, network.module.channel = quantise, channel
    right, (images, labels) = 0, sets
    with torch.no_grad():
        for at in range(0, len(labels), batch):
            right += int((network.logits(images[at:at + batch]).argmax(1) == labels[at:at + batch]).sum())
    return right / len(labels)


def mean_bytes(network, images, batch=500):
    """What the priors' payloads take ideally, as in service."""
    network.module.eval()
    network.module.quantise, network.module.channel = True, None
    with torch.no_grad():
        return sum(float(network.bits(network.values(part, list(network.priors))).sum()) for part in images.split(batch)) / 8 / len(images)


def channel_of(options, generator):
    return NoisyChannel(options.noise, options.erased, generator) if options.noise or options.erased else None


def spread(tensor, count):
    """`count` of a set's rows, evenly spaced (0: all): the archives hold one class after the other, so that the first ones would be of one class."""
    return tensor[torch.arange(min(count, len(tensor))) * len(tensor) // count] if count else tensor


def load(options):
    folder = pictures.prepare(options, qualities=(), subfolder="plain_pictures")
    return {part: tuple(spread(tensor, options.pictures) for tensor in (pictures.load(folder, part), pictures.load(folder, f"{part}_labels"))) for part in ("train", "test")}


def step_rate(options, epoch):
    """A tenth from the middle on, as the papers' configurations do."""
    return options.rate * (0.1 if 2 * epoch >= options.epochs and options.epochs > 1 else 1.0)


def optimiser_for(options, learning):
    if options.verb == "head":
        return torch.optim.Adam(learning, lr=options.rate)
    return torch.optim.SGD(learning, lr=options.rate, momentum=0.9, weight_decay=5e-4)


def losses(options, student, teacher):
    """What a step minimises, of a batch of pictures and labels."""
    if options.verb == "head":
        pairs = [(m.split("=", 1) + [m])[:2] if "=" in m else (m, m) for m in options.match]
        taught = [end_of(teacher.graph, t, "teacher") for t, _ in pairs]
        learnt = [end_of(student.graph, s, "student") for _, s in pairs]

        def distance(batch, _):
            with torch.no_grad():
                wanted = teacher.values(batch, taught)
            if not student.priors:
                return feature_distance(student.values(batch, learnt), wanted)
            found = student.values(batch, [*learnt, *student.priors])
            rated = rate_distortion(found[:len(learnt)], wanted, student.bits(found[len(learnt):]), options.beta)
            return rated + sum(prior.quantile_loss() for _, prior in student.priors.values())  # the quantiles' gradient is of this term alone, and nothing else's: one Adam serves both
        return distance
    if options.loss == "ce":
        return lambda batch, labels: functional.cross_entropy(student.logits(batch), labels)

    def mixed(batch, labels):
        with torch.no_grad():
            wanted = teacher.logits(batch)
        return mixed_loss(student.logits(batch), wanted, labels, options.alpha, options.temperature, options.soft)
    return mixed


def train(options):
    torch.manual_seed(options.seed)
    teacher = make_teacher(options) if options.verb == "head" or options.teacher or options.loss == "kd" else None
    student = Network(options.student, "student")
    shared = start(student, options, teacher)
    frozen = whole_layers(student, shared) if options.verb == "head" else {*options.frozen, *(name for name, _ in student.priors.values())}
    for prefix in options.frozen:
        if not any(belongs(n, [prefix]) for n, _ in student.module.named_modules()):
            raise ValueError(f"--frozen {prefix}: the student has no layer of that name")
    sets = load(options)
    images, labels = sets["train"]
    student.module.train()
    learning = freeze(student.module, frozen)
    if not learning:
        raise ValueError("expected layers that learn, found all frozen")
    optimiser, loss_of = optimiser_for(options, learning), losses(options, student, teacher)
    checkpoint = state_file(options, options.name).with_suffix(".checkpoint")
    terms = {"verb": options.verb, "loss": options.loss if options.verb == "tune" else "features", "match": options.match, "from": options.start, "frozen": options.frozen,
             "alpha": options.alpha, "temperature": options.temperature, "soft": options.soft, "rate": options.rate,
             "beta": options.beta, "noise": options.noise, "erased": options.erased,
             "student": digest(options.student), "teacher": digest(options.teacher if teacher else None), "teacher_weights": digest(options.teacher_weights if teacher else None),
             "from_weights": digest(options.start and state_file(options, options.start)), "seed": options.seed, "epochs": options.epochs, "batch": options.batch, "pictures": len(labels)}
    if checkpoint.exists() and (before := load_saved(checkpoint).get("terms", {})) != terms:
        raise ValueError(f"{checkpoint}: another run's, which differs in {', '.join(k for k in terms if before.get(k) != terms[k])}: give another --name or --work, or remove it")
    saved = load_checkpoint(checkpoint, student.module, optimiser) or {"epoch": 0}
    means = saved.get("means", [])
    for epoch in range(saved["epoch"], options.epochs):
        begun, total = time.monotonic(), 0.0
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + epoch)
        student.module.train()
        student.module.quantise = bool(student.priors)  # another codec than a prior comes after training (BottleFit section 4.3)
        student.module.channel = channel_of(options, generator)
        freeze(student.module, frozen)
        order = torch.randperm(len(labels), generator=generator)
        steps = max(1, len(order) // options.batch)
        for step in range(steps):
            chosen = order[step * options.batch:(step + 1) * options.batch]
            batch = pictures.moved(images[chosen], generator).contiguous()
            total += descend(optimiser, loss_of(batch, labels[chosen]), step_rate(options, epoch))
        means.append(total / steps)
        save_checkpoint(checkpoint, student.module, optimiser, epoch=epoch + 1, terms=terms, means=means)
        print(f"{options.name}: epoch {epoch + 1} of {options.epochs}, loss {means[-1]:.4f}, {time.monotonic() - begun:.1f} s", flush=True)
    student.module.eval()
    save_whole(state_file(options, options.name), student.module.state_dict())
    report(options, student, sets["test"], {**terms, "mean_loss": means, **({"teacher_accuracy": accuracy(teacher, sets["test"], True)} if teacher else {})})


def report(options, student, test, about):
    found = {"student": student.graph["network"], **about, "accuracy": accuracy(student, test, False), "accuracy_with_codec": accuracy(student, test, True), "label": "measured"}
    if channel := channel_of(options, torch.Generator().manual_seed(options.seed)):
        found["accuracy_over_channel"] = accuracy(student, test, True, channel)
    if student.priors:
        found["mean_payload_bytes"] = mean_bytes(student, test[0])
    state_file(options, options.name).with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{options.name}: {100 * found['accuracy']:.2f} % of {len(test[1])} test pictures, {100 * found['accuracy_with_codec']:.2f} % with the cut's codec"
          + (f", {100 * found['accuracy_over_channel']:.2f} % over the channel" if "accuracy_over_channel" in found else "")
          + (f", {found['mean_payload_bytes']:.1f} bytes a picture" if "mean_payload_bytes" in found else "")
          + (f", teacher {100 * found['teacher_accuracy']:.2f} %" if "teacher_accuracy" in found else ""), flush=True)


def test(options):
    student = Network(options.student, "student")
    start(student, options, None)
    report(options, student, load(options)["test"], {"verb": "test", "from": options.start})


def jpeg(options):
    """The baseline that sends the input: rate against accuracy."""
    teacher, (images, labels) = make_teacher(options), load(options)["test"]
    rows = []
    for quality in options.qualities:
        again, size = pictures.as_jpeg(images.numpy(), quality)
        rows.append({"quality": quality, "mean_bytes": size, "accuracy": accuracy(teacher, (torch.from_numpy(again), labels), True)})
        print(f"{options.name}: quality {quality:3d}: {size:7.1f} bytes a picture, {100 * rows[-1]['accuracy']:.2f} % of {len(labels)} test pictures", flush=True)
    found = {"teacher": teacher.graph["network"], "pictures": len(labels), "accuracy": accuracy(teacher, (images, labels), True), "jpeg": rows, "label": "measured"}
    state_file(options, options.name).with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["head", "tune", "test", "jpeg"])
    parser.add_argument("--student", metavar="S.json")
    parser.add_argument("--teacher", metavar="T.json")
    parser.add_argument("--teacher-weights", metavar="T.safetensors")
    parser.add_argument("--work", required=True, help="folder of the decoded pictures, checkpoints and results")
    parser.add_argument("--name", help="of what is written to --work (the verb)")
    parser.add_argument("--from", dest="start", metavar="NAME", help="begin with WORK/NAME.pt")
    parser.add_argument("--match", nargs="+", default=[], metavar="TEACHER[=STUDENT]", help="head: layers whose values are to agree")
    parser.add_argument("--loss", choices=["ce", "kd"], help="tune: labels, or labels and teacher (ce)")
    parser.add_argument("--soft", choices=["kl", "probabilities", "logits"], default="kl", help="kd: how far the teacher is (%(default)s)")
    parser.add_argument("--alpha", type=fraction, default=0.5, help="kd: the labels' share (%(default)s)")
    parser.add_argument("--temperature", type=float, default=1.0, help="kd (%(default)s)")
    parser.add_argument("--frozen", nargs="+", default=[], metavar="LAYER", help="tune: names whose weights stay as they are")
    parser.add_argument("--qualities", nargs="+", type=whole_number(1, 100), default=[5, 10, 20, 35, 50, 75, 90], help="jpeg: of the files (%(default)s)")
    parser.add_argument("--beta", type=float, default=0.0, help="head: what a nat of an entropy bottleneck's payload costs beside the distance (%(default)s)")
    parser.add_argument("--noise", type=float, default=0.0, help="deviation of the channel's Gaussian noise behind the codec (%(default)s)")
    parser.add_argument("--erased", type=fraction, default=0.0, help="share of the bits that the channel erases, of values of 0 to 1 in 8 bits (%(default)s)")
    parser.add_argument("--epochs", type=whole_number(1, 10_000), default=10)
    parser.add_argument("--batch", type=whole_number(2, 65_536), default=64)
    parser.add_argument("--rate", type=float, default=1e-3, help="of Adam (head) or SGD with momentum 0.9 (tune); a tenth in the second half (%(default)s)")
    parser.add_argument("--seed", type=whole_number(0), default=1)
    parser.add_argument("--pictures", type=whole_number(0), default=0, help="only so many of each set, evenly spaced; 0: all")
    parser.add_argument("--synthetic", type=whole_number(0, 1_000_000), default=0, help="so many invented pictures instead of CIFAR-10's")
    parser.add_argument("--data", help="the folder that holds cifar10/ (SPLITDSL_DATA)")
    parser.add_argument("--threads", type=whole_number(1, 1024), default=2)
    options = parser.parse_args()
    options.name = options.name or options.verb
    for name in (options.name, options.start):
        if name is not None and pathlib.Path(name).name != name:
            parser.error(f"expected --name and --from to be names of files in --work, without a folder, found {name}")
    if options.verb != "jpeg" and not options.student:
        parser.error(f"{options.verb}: expected --student S.json, found none")
    if options.verb == "head" and not options.match:
        parser.error("head: expected --match TEACHER[=STUDENT], found none")
    if any(not part for m in options.match for part in m.split("=", 1)):
        parser.error("--match: expected TEACHER or TEACHER=STUDENT, found an empty name")
    for verbs, word, given in (("tune", "--loss", options.loss), ("tune", "--frozen", options.frozen), ("head", "--match", options.match)):
        if given and options.verb != verbs:
            parser.error(f"{options.verb}: {word} is for {verbs}; head freezes the teacher's layers and learns their values, tune learns from --loss")
    options.loss = options.loss or "ce"
    if options.verb == "test" and not options.start:
        parser.error("test: expected --from NAME, found none")
    if not 0 <= options.beta < 1e6 or not 0 <= options.noise < 1e3:
        parser.error(f"expected a --beta of 0 to 1000000 and a --noise of 0 to 1000, found {options.beta:g} and {options.noise:g}")
    if not 0 < options.rate < 10 or not 0 < options.temperature < 1000:
        parser.error("expected a --rate of 0 to 10 and a --temperature of 0 to 1000, both above 0")
    return options


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    with claimed(state_file(options, options.name)):
        {"test": test, "jpeg": jpeg}.get(options.verb, train)(options)


if __name__ == "__main__":
    run(main)
