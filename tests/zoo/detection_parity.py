#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Detectors from pixels to boxes against torchvision's, on the same weights and pictures. SSDs on MobileNetV1 and V2 are no models of torchvision's:
our modules stand in its SSD class there, with its default boxes and post-processing.

    detection_parity.py --run PATH/zoo_detect [names]      exit status 1 where fewer than 99 % of the detections agree
    detection_parity.py --run ... --plant 2                shifts torchvision's boxes by that many pixels: must be found

Two detections agree if they have one label and overlap by an IoU of 0.99 at least. Weights come from a seed, batch norms from pictures;
the last layers are scaled so that scores differ and boxes stay near their start: where many scores are 1, their order is chance.
"""
import argparse
import collections
import functools
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
try:
    import numpy
    import torch
    import torchvision
except ImportError as problem:
    print(f"SKIPPED: comparing with torchvision needs python3-torch and python3-torchvision ({problem})")
    sys.exit(0)
import head_models  # noqa: E402
import safetensors_io  # noqa: E402
import zoo_models  # noqa: E402
import zoo_parity  # noqa: E402



def single_shot(make):
    """torchvision's SSD around the maps and predictors of a head_models.MobileNetSSD."""
    def build():
        parts, ssd = make(), torchvision.models.detection.ssd
        parts.backbone.forward = lambda x: collections.OrderedDict(enumerate(parts.maps(x)))
        head = torch.nn.Module()
        head.classification_head = ssd.SSDScoringHead(parts.head.classification_head.module_list, 91)
        head.regression_head = ssd.SSDScoringHead(parts.head.regression_head.module_list, 4)
        head.forward = lambda maps: {"cls_logits": head.classification_head(maps), "bbox_regression": head.regression_head(maps)}
        boxes = torchvision.models.detection.anchor_utils.DefaultBoxGenerator([[2, 3]] * 6, min_ratio=0.2, max_ratio=0.95)
        return ssd.SSD(parts.backbone, boxes, (300, 300), 91, image_mean=head_models.HALF[0], image_std=head_models.HALF[1], head=head)
    return build


SHARE = 0.99
OVERLAP = 0.99
PICTURES = 2
# name: (how to make torchvision's whole model, size of its pictures)
DETECTORS = {
    "ssd300_vgg16": (head_models.detection("ssd300_vgg16"), (300, 300)),
    "ssdlite320_mobilenet_v3_large": (head_models.detection("ssdlite320_mobilenet_v3_large"), (320, 320)),
    "ssd_mobilenet_v1": (single_shot(head_models.ssd_mobilenet_v1), (300, 300)),
    "ssd_mobilenet_v2": (single_shot(head_models.ssd_mobilenet_v2), (300, 300)),
    "faster_rcnn_resnet50_fpn": (head_models.detection("fasterrcnn_resnet50_fpn"), (800, 1088)),
    "faster_rcnn_mobilenet_v3_large_320_fpn": (head_models.detection("fasterrcnn_mobilenet_v3_large_320_fpn"), (320, 448)),
}

LAST = re.compile(r"module_list\.\d(\.1)?$|(cls_logits|bbox_pred|cls_score)$")


def spread(model, picture):
    """Scales the last layers on one picture: logits to a deviation of 2, offsets to 1."""
    def hook(module, _, output, wanted, done=set()):
        if module in done:                              # shared between levels
            return output
        done.add(module)
        factor = wanted / float(output.std())
        module.weight *= factor
        module.bias *= factor
        return output * factor
    hooks = [module.register_forward_hook(functools.partial(hook, wanted=1.0 if "regression" in name or "bbox" in name else 2.0))
             for name, module in model.named_modules() if LAST.search(name) and hasattr(module, "weight")]
    model([picture])
    for h in hooks:
        h.remove()


def as_convolution(linear, x):
    return torch.nn.functional.conv2d(x[:, :, None, None], linear.weight[:, :, None, None], linear.bias)[:, :, 0, 0]


def prepare(name, make, size, generator):
    """torchvision's model with seeded weights and calibrated batch norms."""
    torch.manual_seed(sum(map(ord, name)))
    whole = make().eval()
    zoo_parity.initialise(whole)
    raw = head_models.MODELS[name][0]().eval()
    raw.load_state_dict(whole.state_dict())
    pictures = [zoo_parity.pictures(4, *size, generator) for _ in range(2)]
    zoo_parity.calibrate(raw, lambda x: raw(zoo_models.normalise(x, head_models.MODELS[name][1])), pictures)
    whole.load_state_dict(raw.state_dict())
    for module in whole.modules():
        if isinstance(module, torch.nn.Linear):         # the same product, without depending on a fast BLAS
            module.forward = functools.partial(as_convolution, module)
    if name.startswith("faster_rcnn"):
        whole.transform.min_size, whole.transform.max_size = (min(size),), max(size)
    spread(whole, pictures[0][0].float() / 255)
    return whole


def agreeing(ours, theirs):
    """How many of theirs have a partner of their own among ours."""
    if not len(ours["boxes"]) or not len(theirs["boxes"]):
        return 0
    same = torchvision.ops.box_iou(theirs["boxes"], ours["boxes"]) >= OVERLAP
    same &= theirs["labels"][:, None] == ours["labels"][None, :]
    taken, count = set(), 0
    for row in same:
        free = [int(i) for i in row.nonzero().flatten() if int(i) not in taken]
        if free:
            taken.add(free[0])
            count += 1
    return count


def read(path, count):
    """The program's lists, one a picture."""
    values, at, lists = numpy.fromfile(path, "<f4"), 0, []
    for _ in range(count):
        n = int(values[at])
        rows = torch.from_numpy(values[at + 1:at + 1 + 6 * n].reshape(n, 6).copy())
        lists.append({"boxes": rows[:, :4], "scores": rows[:, 4], "labels": rows[:, 5].long()})
        at += 1 + 6 * n
    assert at == len(values)
    return lists


def compare(name, program, folder, plant):
    make, size = DETECTORS[name]
    generator = torch.Generator().manual_seed(11)
    model = prepare(name, make, size, generator)
    pictures = zoo_parity.pictures(PICTURES, *size, generator)
    theirs = model([p.float() / 255 for p in pictures])
    safetensors_io.save(folder / "weights", {key: value.numpy() for key, value in model.state_dict().items()})
    (folder / "input").write_bytes(pictures.numpy().tobytes())
    subprocess.run([program, name, "--weights", str(folder / "weights"), "--input", str(folder / "input"), "--output", str(folder / "output")], check=True)
    ours = read(folder / "output", PICTURES)
    for t in theirs:
        t["boxes"] = t["boxes"] + plant
    found, expected, made = sum(map(agreeing, ours, theirs)), sum(len(t["boxes"]) for t in theirs), sum(len(o["boxes"]) for o in ours)
    classes = len({int(label) for t in theirs for label in t["labels"]})
    score = max((float((o["scores"][:1] - t["scores"][:1]).abs().max()) for o, t in zip(ours, theirs) if len(o["scores"]) and len(t["scores"])), default=1.0)
    fine = expected >= 20 and found >= SHARE * max(expected, made)
    print(f"{'same   ' if fine else 'DIFFERS'} {name:32s} {found} of torchvision's {expected} detections ({made} made, {classes} classes); best score within {score:.1e}", flush=True)
    return fine


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(DETECTORS)} (default: those the program has)")
    parser.add_argument("--run", required=True, help="the program zoo_detect")
    parser.add_argument("--plant", type=float, default=0.0, help="pixels to shift torchvision's boxes by")
    options = parser.parse_args()
    present = subprocess.run([options.run, "--list"], check=True, capture_output=True, text=True).stdout.split()
    names = options.names or [name for name in DETECTORS if name in present]
    with torch.no_grad(), tempfile.TemporaryDirectory() as scratch:
        same = [compare(name, options.run, pathlib.Path(scratch), options.plant) for name in names]
    if options.plant:
        return 0 if same and not any(same) else 1
    return 0 if same and all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
