#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""The networks that bench_peers.py compares: what they are in PyTorch, and their files for the peers.

    bench_peers_models.py FOLDER NETWORK...     files of each network in FOLDER/NETWORK; needs PyTorch and torchvision

A network's folder gets `weights.safetensors` (for ours), `state.pth` (for PyTorch), `model.onnx` (opset 14), `model.pt` (TorchScript),
`pixels.u8` and `input.f32` (one picture, and the same after the network's own normalisation), `expected.f32` (PyTorch's answer), and
`shape.json`. Weights come from a seed, batch norms are calibrated as in tests/zoo/zoo_parity.py: values stay of sane size to the end.
The peers start from `input.f32`; ours from the pixels, the normalisation being part of its networks.
"""
import argparse
import inspect
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]

# name: (in tests/zoo/zoo_models.py, the part of that module which is compared ("": all of it), ours in bench_zoo, the cut where ours ends or None, (height, width)).
# Ours has a whole network without candidate cuts, as the peers do; a head's weights have their names in the split network without "perception" and "features".
NETWORKS = {
    "resnet18": ("resnet18", "", "resnet18_no_cuts", None, (224, 224)),
    "resnet34": ("resnet34", "", "resnet34_no_cuts", None, (224, 224)),
    "resnet18_direct": ("resnet18", "", "resnet18_direct", None, (224, 224)),
    "resnet34_direct": ("resnet34", "", "resnet34_direct", None, (224, 224)),
    "resnet50": ("resnet50", "", "resnet50_no_cuts", None, (224, 224)),
    "densenet169": ("densenet169", "", "densenet169_no_cuts", None, (224, 224)),
    "mobilenet_v2": ("mobilenet_v2", "", "mobilenet_v2_no_cuts", None, (224, 224)),
    "mobilenet_v3_large": ("mobilenet_v3_large", "", "mobilenet_v3_large_no_cuts", None, (224, 224)),
    "inception_v3": ("inception_v3_plain", "", "inception_v3_no_cuts", None, (299, 299)),
    "sage_carlanet_head_88x200": ("sage_carlanet", "perception.encoder", "sage_carlanet_head_88x200", "uplink", (88, 200)),
    "sage_resnet34_head_88x200": ("sage_resnet34", "perception.bottleneck.encoder", "sage_resnet34_head_88x200", "uplink", (88, 200)),
    "bottlefit_head_224x224": ("bottlefit_resnet152_3", "bottleneck.encoder", "bottlefit_head_224x224", "uplink", (224, 224)),
    "bottlefit_sp2_head_224x224": ("bottlefit_densenet201_9_sp2", "features.bottleneck.encoder", "bottlefit_sp2_head_224x224", "uplink", (224, 224)),
    "sage_resnet34_head_720x1280": ("sage_resnet34_720", "perception.bottleneck.encoder", "sage_resnet34_head_720x1280", "uplink", (720, 1280)),
}


def zoo():
    sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "zoo")]
    import zoo_models
    return zoo_models


def part_of(name, whole):
    path = NETWORKS[name][1]
    for step in path.split(".") if path else ():
        whole = getattr(whole, step)
    return whole


def loaded(name, folder):
    """The PyTorch module of a network whose files are in `folder`, ready to run."""
    import torch
    module = part_of(name, zoo().MODELS[NETWORKS[name][0]][0]()).eval()
    module.load_state_dict(torch.load(folder / "state.pth", map_location="cpu"))
    return module


def export(name, folder):
    import torch
    zoo_models = zoo()
    import safetensors_io
    import zoo_parity
    model, path, _, _, (height, width) = NETWORKS[name]
    make, statistics, _, _ = zoo_models.MODELS[model]
    torch.manual_seed(34)
    generator = torch.Generator().manual_seed(7)
    module = part_of(name, make().eval())
    zoo_parity.initialise(module)
    small = min(height * width, 299 * 299) < height * width      # statistics of a large picture's pixels need no four pictures
    batches = [zoo_models.normalise(zoo_parity.pictures(1 if small else 4, height, width, generator), statistics) for _ in range(2)]
    zoo_parity.calibrate(module, module, batches)
    pixels = zoo_parity.pictures(1, height, width, generator)
    image = zoo_models.normalise(pixels, statistics)
    answer = module(image)
    folder.mkdir(parents=True, exist_ok=True)
    prefix = path.removeprefix("perception.").removeprefix("features.") + "." if path else ""
    safetensors_io.save(folder / "weights.safetensors", {prefix + key: value.numpy() for key, value in module.state_dict().items()})
    torch.save(module.state_dict(), folder / "state.pth")
    to_onnx = {"opset_version": 14, "input_names": ["image"], "output_names": ["values"]}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:      # newer ones trace by default, and want another package for it
        to_onnx["dynamo"] = False
    torch.onnx.export(module, image, str(folder / "model.onnx"), **to_onnx)
    torch.jit.trace(module, image).save(str(folder / "model.pt"))
    pixels.numpy().tofile(folder / "pixels.u8")
    image.numpy().tofile(folder / "input.f32")
    answer.contiguous().numpy().tofile(folder / "expected.f32")
    (folder / "shape.json").write_text(json.dumps({"input": list(image.shape), "output": list(answer.shape), "torch": torch.__version__}) + "\n", encoding="utf-8")
    print(f"{name}: {tuple(image.shape)} to {tuple(answer.shape)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("networks", nargs="+", choices=NETWORKS)
    arguments = parser.parse_args()
    import torch
    with torch.no_grad():
        for name in arguments.networks:
            export(name, arguments.folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
