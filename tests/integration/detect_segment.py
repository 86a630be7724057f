#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""examples/detect and examples/segment as their users call them.

    detect_segment.py --detect PATH/detect --segment PATH/segment refusals   what they cannot do, they say
    detect_segment.py ... boxes       pictures of the network's size and of another: torchvision's detections, and a PNG with their boxes
    detect_segment.py ... masks       the same classes at the same pixels, and a PNG with their colours

Weights come from a seed, through tools/export_weights.py. `boxes` and `masks` take one network each (SSDLite or what the build has, LR-ASPP); with
SPLITDSL_TEST_FULL=1 every one of the build, or those that are named. --plant breaks what is compared, to see that the comparison notices.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from full_disk import FULL_DISK

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "zoo")]
try:
    import numpy
    import torch
    import torchvision
    from PIL import Image
except ImportError as problem:
    print(f"SKIPPED: comparing with torchvision needs python3-torch, python3-torchvision and python3-pil ({problem})")
    sys.exit(0)
import detection_parity  # noqa: E402
import head_models  # noqa: E402
import zoo_models  # noqa: E402
import zoo_parity  # noqa: E402

HEIGHT, WIDTH = 450, 600
# Of a picture that was resized. A random network magnifies a byte that was rounded the other way: 20 bytes off by one change 12 of torchvision's own 100 with this one (not damped).
RESIZED_SHARE = {"faster_rcnn_mobilenet_v3_large_320_fpn": 0.85}
problems = []


def check(right, what):
    print(("ok      " if right else "WRONG   ") + what, flush=True)
    if not right:
        problems.append(what)


def run(program, *words, full=False):
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=600, check=False, **(FULL_DISK if full else {}))
    return done.returncode, done.stdout, done.stderr


def refuses(program, what, words, *parts, code=2, full=False):
    got, _, said = run(program, *words, full=full)
    check(got == code and all(part in said for part in parts) and said.count("\n") == 1, f"{what}: status {got}: {said.strip()[:300]}")


def present(program):
    return run(program, "--list")[1].strip().split(", ")


def chosen(program, options, first):
    names = present(program)
    if options.names or os.environ.get("SPLITDSL_TEST_FULL", "") not in ("", "0"):
        return [n for n in options.names or names if n in names]
    return [next((n for n in first if n in names), names[0])]


def export(model, folder):
    """The way a user's weights take."""
    torch.save(model.state_dict(), folder / "weights.pth")
    done = subprocess.run([sys.executable, ROOT / "tools" / "export_weights.py", folder / "weights.pth", "--out", folder / "weights.safetensors"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return folder / "weights.safetensors"


def generated(folder, height=HEIGHT, width=WIDTH):
    """(file, u8 tensor (3, h, w))."""
    pixels = zoo_parity.pictures(1, height, width, torch.Generator().manual_seed(5))[0]
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / "shot.png")
    return folder / "shot.png", pixels


def pixels_of(file):
    with Image.open(file) as picture:
        return picture.format, picture.mode, numpy.asarray(picture).astype(int)


def bytes_for(model, pixels, size):
    """The picture as torchvision's detector resizes it, but rounded to the bytes our networks take; left alone where it has the network's size."""
    if tuple(pixels.shape[1:]) == size:
        return pixels.float()
    resized, _ = torchvision.models.detection.transform._resize_image_and_masks(pixels.float(), float(min(model.transform.min_size)), float(model.transform.max_size),
                                                                                None, model.transform.fixed_size)
    return resized.round()


def fill_with_bytes(model, size):
    """What of Faster R-CNN's input is no picture has the bytes next to ImageNet's mean; torchvision pads with exact zeros."""
    mean, deviation = torch.tensor(model.transform.image_mean), torch.tensor(model.transform.image_std)
    fill = (torch.tensor([124.0, 116.0, 104.0]) / 255 - mean) / deviation

    def batch_images(images, size_divisible=32):
        whole = fill[None, :, None, None].repeat(1, 1, *size)
        whole[0, :, :images[0].shape[1], :images[0].shape[2]] = images[0]
        return whole
    model.transform.batch_images = batch_images


def boxes(options):
    categories = torchvision.models.detection.SSDLite320_MobileNet_V3_Large_Weights.DEFAULT.meta["categories"]
    for name in chosen(options.detect, options, ["ssdlite320_mobilenet_v3_large", "ssd300_vgg16"]):
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            make, size = detection_parity.DETECTORS[name]
            model = detection_parity.prepare(name, make, size, torch.Generator().manual_seed(11))
            weights = export(model, folder)
            if name.startswith("faster_rcnn"):
                fill_with_bytes(model, size)
            for height, width in (size, (HEIGHT, WIDTH)):
                file, pixels = generated(folder, height, width)
                theirs = model([bytes_for(model, pixels, size) / 255])[0]
                seen = bytes_for(model, pixels, size).shape[1:]
                theirs["boxes"] = theirs["boxes"] * torch.tensor([width / seen[1], height / seen[0]] * 2) + options.plant
                common = ["--model", name, "--weights", weights, file, "--quiet"]
                code, _, said = run(options.detect, *common, "--threshold", "0", "--json", folder / "out.json")
                document = json.loads((folder / "out.json").read_text(encoding="utf-8"))
                result = document["results"][0]
                rows = result["detections"]
                ours = {"boxes": torch.tensor([r["box"] for r in rows]).reshape(-1, 4), "labels": torch.tensor([r["class"] for r in rows])}
                found = detection_parity.agreeing(ours, theirs)
                most = max(len(rows), len(theirs["boxes"]))
                share = 0.99 if (height, width) == size else RESIZED_SHARE.get(name, 0.99)
                check(code == 0 and document["model"] == name and (result["width"], result["height"]) == (width, height) and most >= 20 and found >= share * most,
                      f"{name}: {found} of torchvision's {len(theirs['boxes'])} detections on a picture of {width} x {height}, {len(rows)} made {said}")
            check(all(r["label"] in (categories[r["class"]], f"class {r['class']}") for r in rows) and any(not r["label"].startswith("class ") for r in rows),
                  f"{name}: the classes are called what torchvision calls them")
            check(all(0 <= b[0] <= b[2] <= WIDTH and 0 <= b[1] <= b[3] <= HEIGHT for b in (r["box"] for r in rows)), f"{name}: all boxes lie in the picture")

            # A threshold in the middle of the scores leaves a few, and they are drawn.
            level = sorted((r["score"] for r in rows), reverse=True)[5] - 1e-4
            code, _, said = run(options.detect, *common, "--threshold", level, "--json", folder / "few.json", "--out", folder / "drawn.png")
            few = json.loads((folder / "few.json").read_text(encoding="utf-8"))["results"][0]["detections"]
            check(code == 0 and few == [r for r in rows if r["score"] >= level] and 6 <= len(few) < len(rows), f"{name}: {len(few)} detections above {level:.3f} {said}")
            kind, mode, drawn = pixels_of(folder / "drawn.png")
            shot = pixels.permute(1, 2, 0).numpy().astype(int)
            check((kind, mode, drawn.shape) == ("PNG", "RGB", (HEIGHT, WIDTH, 3)), f"{name}: the PNG is a colour picture of the same size: {kind} {mode} {drawn.shape}")
            changed = (drawn != shot).any(2)
            for r in few:
                left, top, right, bottom = (int(numpy.clip(v, 0, limit - 1)) for v, limit in zip((r["box"][0], r["box"][1], numpy.ceil(r["box"][2]) - 1, numpy.ceil(r["box"][3]) - 1),
                                                                                                  (WIDTH, HEIGHT, WIDTH, HEIGHT)))
                border = numpy.concatenate([changed[top, left:right + 1], changed[bottom, left:right + 1], changed[top:bottom + 1, left], changed[top:bottom + 1, right]])
                check(border.mean() > 0.99, f"{name}: a line around {r['label']} {[round(v) for v in r['box']]}")
            near = numpy.zeros((HEIGHT, WIDTH), bool)
            for r in few:
                x1, y1, x2, y2 = (int(v) for v in r["box"])
                near[max(y1 - 30, 0):y2 + 30, max(x1 - 260, 0):x2 + 260] = True
            check(changed.any() and not changed[~near].any(), f"{name}: nothing else is touched ({changed.mean():.1%} of the pixels are)")


def masks(options):
    for name in chosen(options.segment, options, ["lraspp_mobilenet_v3_large"]):
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            torch.manual_seed(sum(map(ord, name)))
            make, statistics, _, _ = head_models.MODELS[name]
            model = make().eval()
            zoo_parity.initialise(model)
            zoo_parity.calibrate(model, lambda x: model(zoo_models.normalise(x, statistics)), [zoo_parity.pictures(2, 520, 520, torch.Generator().manual_seed(3))])
            weights, (file, pixels) = export(model, folder), generated(folder)
            with Image.open(file) as picture:
                resized = torch.from_numpy(numpy.asarray(picture.resize((520, 520), Image.BILINEAR)).copy()).permute(2, 0, 1)[None]
            best = model(zoo_models.normalise(resized, statistics))[0].argmax(0).to(torch.uint8).numpy()
            wanted = numpy.asarray(Image.fromarray(best).resize((WIDTH, HEIGHT), Image.NEAREST)).astype(int)
            wanted[:int(options.plant)] = 20
            code, _, said = run(options.segment, "--model", name, "--weights", weights, file, "--quiet", "--json", folder / "out.json", "--mask", folder / "mask.png", "--out",
                                folder / "drawn.png")
            document = json.loads((folder / "out.json").read_text(encoding="utf-8"))
            result = document["results"][0]
            counts = {row["class"]: row["pixels"] for row in result["classes"]}
            worst = max(abs(counts.get(k, 0) - int((wanted == k).sum())) for k in range(21)) / wanted.size
            check(code == 0 and document["model"] == name and (result["width"], result["height"]) == (WIDTH, HEIGHT) and len(counts) >= 3 and sum(counts.values()) == wanted.size
                  and worst <= 1e-3, f"{name}: {len(counts)} classes, pixel counts within {worst:.3%} of the picture of torchvision's {said}")
            kind, mode, mask = pixels_of(folder / "mask.png")
            same = float((mask == wanted).mean()) if mask.shape == wanted.shape else 0.0
            check((kind, mode) == ("PNG", "L") and same >= 0.999, f"{name}: the mask is torchvision's on {same:.3%} of the pixels")
            check(list(counts.values()) == sorted(counts.values(), reverse=True) and all(counts[k] == int((mask == k).sum()) for k in counts), f"{name}: the counts are the mask's")
            categories = torchvision.models.segmentation.LRASPP_MobileNet_V3_Large_Weights.DEFAULT.meta["categories"]
            check(all(row["label"] == categories[row["class"]].replace("__background__", "background") for row in result["classes"]),
                  f"{name}: the classes are called what torchvision calls them: {[row['label'] for row in result['classes']]}")
            kind, mode, drawn = pixels_of(folder / "drawn.png")
            changed = (drawn != pixels.permute(1, 2, 0).numpy().astype(int)).any(2)
            check((kind, mode, drawn.shape) == ("PNG", "RGB", (HEIGHT, WIDTH, 3)) and changed[mask > 0].mean() > 0.95, f"{name}: the PNG shows the classes ({kind} {mode} {drawn.shape})")
            legend = numpy.zeros_like(changed)
            legend[:, :100] = True
            check(not changed[(mask == 0) & ~legend].any(), f"{name}: the background is as it was")


def put(folder, name, picture, **how):
    picture.save(folder / name, **how)
    return folder / name


def refusals(options):
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        file, pixels = generated(folder)
        jpeg = put(folder, "shot.jpg", Image.open(file))
        whole = jpeg.read_bytes()
        cut, text, pixel = folder / "cut.jpg", folder / "text.png", put(folder, "pixel.png", Image.new("RGB", (1, 1), (200, 30, 90)))
        cut.write_bytes(whole[:len(whole) // 2])
        text.write_bytes(b"hello, world")
        for program, first, made in ((options.detect, ["ssdlite320_mobilenet_v3_large"], lambda n: detection_parity.DETECTORS[n][0]()),
                                     (options.segment, ["lraspp_mobilenet_v3_large"], lambda n: getattr(torchvision.models.segmentation, n)(weights=None, weights_backbone=None))):
            name = chosen(program, options, first)[0]
            which = pathlib.Path(program).name
            model = made(name)
            weights = export(model, folder)
            good = weights.read_bytes()
            common = ["--model", name, "--weights", weights, "--quiet"]
            refuses(program, f"{which}: no model", [file], "--model NAME is missing", name)
            refuses(program, f"{which}: an unknown model", ["--model", "yolo", "--weights", weights, file], "--model yolo: no such network", name)
            refuses(program, f"{which}: a model of another kind", ["--model", "squeezenet1_1", "--weights", weights, file], "squeezenet1_1: not a", name)
            refuses(program, f"{which}: no weights", ["--model", name, file], "--weights FILE is missing")
            refuses(program, f"{which}: weights that are not there", ["--model", name, "--weights", folder / "no.safetensors", file], "no.safetensors")
            (folder / "half.safetensors").write_bytes(good[:len(good) // 2])
            refuses(program, f"{which}: truncated weights", ["--model", name, "--weights", folder / "half.safetensors", file], "half.safetensors")
            key = next(iter(model.state_dict()))
            other = model.state_dict()
            other["extra.weight"] = other.pop(key)
            torch.save(other, folder / "other.pth")
            subprocess.run([sys.executable, ROOT / "tools" / "export_weights.py", folder / "other.pth", "--out", folder / "other.safetensors"], capture_output=True, check=True)
            got, _, said = run(program, "--model", name, "--weights", folder / "other.safetensors", file)
            check(got == 2 and key in said and "extra.weight" in said, f"{which}: another network's weights: {said.strip()[:300]}")
            refuses(program, f"{which}: no picture", common, "a picture")
            if program == options.detect:
                refuses(program, f"{which}: --or-cpu without a GPU", [*common, "--backend", "cpu", "--or-cpu", file], "--or-cpu is for GPUs: --backend cudnn was expected, found --backend cpu")
                absent = ["--backend", "cudnn", "--gpu", "63"]
                refuses(program, f"{which}: a GPU that no machine has", [*common, *absent, file], "was expected")
                code, _, said = run(program, *common, *absent, "--or-cpu", "--json", folder / "or_cpu.json", jpeg)
                run(program, *common, "--json", folder / "on_cpu.json", jpeg)
                same = [json.loads((folder / name_of_run).read_text(encoding="utf-8"))["results"] for name_of_run in ("or_cpu.json", "on_cpu.json")]
                check(code == 0 and "the processor answers: " in said and same[0] == same[1], f"{which}: no GPU, but a processor: status {code}: {said.strip()[:300]}")
            refuses(program, f"{which}: a picture that is not there", [*common, folder / "missing.jpg"], "missing.jpg: no such file", code=1)
            refuses(program, f"{which}: a truncated JPEG", [*common, cut], "cut.jpg: damaged JPEG file", code=1)
            refuses(program, f"{which}: a text file", [*common, text], "text.png: neither JPEG nor PNG", code=1)
            refuses(program, f"{which}: too many pixels", [*common, "--most-pixels", "1000", file], f"shot.png: {WIDTH} x {HEIGHT} pixels are more than the 1000 allowed", code=1)
            got, _, said = run(program, *common, "--most-pixels", "-1", file)
            check(got == 2 and "--most-pixels" in said, f"{which}: a limit below one: status {got}: {said.strip()[:300]}")
            got, _, said = run(program, *common, "--colour", "red", file)
            check(got == 2 and "--colour" in said, f"{which}: an option that is none: status {got}: {said.strip()[:300]}")
            refuses(program, f"{which}: a PNG that cannot be written", [*common, "--out", folder / "no" / "out.png", file], "out.png: cannot be written", code=1)
            refuses(program, f"{which}: a JSON file that cannot be written", [*common, "--json", folder / "no" / "out.json", file], "out.json: cannot be written")
            for option, target in [("--json", "full.json"), ("--out", "full.png")] + ([("--mask", "mask.png")] if program == options.segment else []):
                refuses(program, f"{which}: {option} on a full disk", [*common, option, folder / target, pixel], f"{option} {folder / target}: cannot be written: File too large",
                        code=1, full=True)
                check(not (folder / target).exists(), f"{which}: nothing is left of the file")
            refuses(program, f"{which}: a drawing that is to be a JPEG", [*common, "--out", folder / "out.jpg", file], "out.jpg: a name that ends in .png was expected")
            refuses(program, f"{which}: a drawing over its picture", [*common, "--out", file, file], "would write over the picture")
            refuses(program, f"{which}: two drawings in one file", [*common, "--out", folder / "both", file, jpeg], "would both be")
            refuses(program, f"{which}: drawing and results in one file", [*common, "--out", folder / "one.png", "--json", folder / "one.png", file], "another file than that of --out was expected")
            check(not (folder / "both").exists(), f"{which}: a run with which nothing was done leaves no folder")
            (folder / "labels.txt").write_text("background\nthing\n", encoding="utf-8")
            refuses(program, f"{which}: too few labels", [*common, "--labels", folder / "labels.txt", file], "lines were expected", "found 2")
            # One pixel is a picture; what cannot be read does not keep the next from being answered.
            code, _, said = run(program, *common, "--json", folder / "out.json", "--out", folder / which, cut, pixel, jpeg)
            results = json.loads((folder / "out.json").read_text(encoding="utf-8"))["results"]
            check(code == 1 and ["error" in r for r in results] == [True, False, False] and results[1]["width"] == 1 and pixels_of(folder / which / "pixel.png")[2].shape == (1, 1, 3)
                  and pixels_of(folder / which / "shot.png")[2].shape == (HEIGHT, WIDTH, 3) and not (folder / which / "cut.png").exists(),
                  f"{which}: a damaged picture, one pixel and a JPEG, drawn into a folder: {said.strip()}")
            code, _, said = run(program, *common, "--out", f"{folder}/{which}_of_one/", pixel)   # as *.png may come to
            check(code == 0 and (folder / f"{which}_of_one" / "pixel.png").is_file(), f"{which}: one picture into a folder: {said.strip()}")
        for level in ("nan", "-0.1", "1.5", "high"):
            got, _, said = run(options.detect, "--model", chosen(options.detect, options, [])[0], "--weights", weights, "--threshold", level, file)
            check(got == 2 and "--threshold" in said, f"detect: a threshold of {level}: status {got}: {said.strip()[:300]}")
        refuses(options.segment, "segment: mask and drawing in one file", [*common, "--out", folder / "x.png", "--mask", folder / "x.png", file], "--out writes to")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detect", required=True)
    parser.add_argument("--segment", required=True)
    parser.add_argument("--plant", type=float, default=0.0, help="pixels to shift torchvision's boxes by; rows of its mask to overwrite")
    tests = {"refusals": refusals, "boxes": boxes, "masks": masks}
    parser.add_argument("test", choices=tests)
    parser.add_argument("names", nargs="*", help="networks")
    options = parser.parse_args()
    with torch.no_grad():
        tests[options.test](options)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
