#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Feature maps of published networks on real pictures, for bench_dynamic_pool: raw little-endian f32, picture after picture.

    dynamic_pool_features.py FOLDER        writes resnet20_layer1.f32 and others, and prints the options that read them

The folder SPLITDSL_DATA (default ../shared/data) has the weights and pictures.
"""
import argparse
import io
import pathlib
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "zoo")]
import data_folder  # noqa: E402
import packages  # noqa: E402

packages.require("numpy", "torch", "PIL")

import numpy  # noqa: E402
import safetensors_io  # noqa: E402
import torch  # noqa: E402
import zoo_models  # noqa: E402
from PIL import Image  # noqa: E402

DATA = data_folder.FOLDER
LAYERS = {"cifar10_resnet20": {"layer1": "resnet20_layer1", "layer2": "resnet20_layer2"},
          "mobilenet_v2_tf": {"block2": "mobilenetv2_block2", "block5": "mobilenetv2_block5"}}


def pictures(archive, every, count, side):
    data_folder.require_pictures(archive, every * (count - 1) + 1, "SPLITDSL_DATA names the folder")
    with zipfile.ZipFile(archive) as z:
        for name in sorted(n for n in z.namelist() if n.lower().endswith(".jpg"))[::every][:count]:
            picture = Image.open(io.BytesIO(z.read(name))).convert("RGB")
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            yield numpy.asarray(picture.crop((left, top, left + side, top + side))).transpose(2, 0, 1)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    inputs = {"cifar10_resnet20": list(pictures(DATA / "cifar10" / "test.zip", 97, 100, 32)),
              "mobilenet_v2_tf": list(pictures(DATA / "imagenet_samples_200.zip", 5, 40, 224))}
    for network, layers in LAYERS.items():
        make, statistics, _, _ = zoo_models.MODELS[network]
        model = make().eval()
        state, _ = safetensors_io.load(DATA / "weights" / f"{network}.safetensors")
        model.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in state.items()})
        seen = {}
        for layer in layers:
            getattr(model, layer).register_forward_hook(lambda module, args, out, layer=layer: seen.setdefault(layer, []).append(out))
        with torch.no_grad():
            for one in inputs[network]:
                model(zoo_models.normalise(torch.from_numpy(one.copy())[None], statistics))
        for layer, file in layers.items():
            values = torch.cat(seen[layer]).numpy().astype("<f4")
            values.tofile(folder / f"{file}.f32")
            print(f"--features {folder / file}.f32 --channels {values.shape[1]} --side {values.shape[2]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="where the maps go; made if it is not there")
    try:
        main(parser.parse_args().folder)
    except OSError as problem:
        sys.exit(f"dynamic_pool_features.py: {problem}")
