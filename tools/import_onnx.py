#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Turns an ONNX file into a header that declares the network with the language's words, and its weights file.

    import_onnx.py model.onnx                              writes model.hpp and model.safetensors beside it
    import_onnx.py model.onnx --out DIR --name lane_net    the struct and both files are called lane_net
    import_onnx.py model.onnx --picture imagenet           the input is a u8 picture, normalised in the network
    import_onnx.py model.onnx --list-cuts                  where it could be cut, and what would cross; writes nothing
    import_onnx.py model.onnx --cut TENSOR:uplink          a cut called uplink behind that tensor

Needs numpy only. What the language cannot say is listed all at once, by operator and node, and nothing is written. The file is not
trusted: sizes are checked, and its names reach the header only as letters, digits, _ and -. Page: docs/import.md.
"""
import argparse
import os
import pathlib
import sys

import packages

packages.require("numpy")

import numpy

import onnx_file
import onnx_lowering
import safetensors_io
import words_layout
import words_names
import words_structure
import words_writer
from onnx_file import OnnxError, shown
from onnx_operator import Op

PICTURES = ("imagenet", "minus_one_to_one", "zero_to_one")
MOST_CUTS = 16


def parse_shapes(texts):
    shapes = {}
    for text in texts:
        name, found, numbers = text.rpartition("=")
        try:
            sizes = [int(n) for n in numbers.split(",")]
        except ValueError:
            sizes = []
        if not found or not name or len(sizes) not in (1, 3) or min(sizes) < 1:
            raise OnnxError(f"--shape {shown(text)}: expected INPUT=CHANNELS,HEIGHT,WIDTH or INPUT=VALUES")
        shapes[name] = sizes
    return shapes


def replace(network, old, new):
    for op in onnx_lowering.in_order([op for _, op in network.outputs]):
        if op is not new and old in op.inputs:
            op.inputs = [new if x is old else x for x in op.inputs]
    network.outputs = [(name, new if op is old else op) for name, op in network.outputs]


def take_normalisation(network):
    """What scales the raw input channel by channel is the language's normalise."""
    for op in onnx_lowering.in_order([op for _, op in network.outputs]):
        if op.word == "affine" and op.inputs[0].word == "input" and op.shape[0] <= 4 and op.settings["scale"].all():
            scale, shift = op.settings["scale"], op.settings["shift"]
            op.word, op.settings = "normalise", {"mean": -shift / scale, "deviation": 1 / scale}


def take_picture(network, preset):
    images = [op for op in network.inputs if op.settings["image"] and op.shape[0] <= 4]
    if len(images) != 1:
        raise OnnxError(f"--picture {preset}: the network has {len(images)} inputs of up to four channels, expected one")
    image = images[0]
    image.settings["u8"] = True
    normalise = Op("normalise", [image], image.shape, {"preset": preset})
    replace(network, image, normalise)


def insert_cuts(network, texts):
    if len(texts) > MOST_CUTS:
        raise OnnxError(f"{len(texts)} cuts were asked for; a network has at most {MOST_CUTS}")
    found = words_structure.candidates(words_structure.build(network.outputs), network.outputs)
    chosen = {}
    for text in texts:
        candidate, name = words_structure.find_cut(text, network, found)
        if name is None:
            name = words_names.label("_".join(words_names.module_path(candidate.op.node)) or words_names.node_name(candidate.op.node), "cut")
        if words_names.label(name, "") != name:
            raise OnnxError(f"--cut {shown(text)}: a cut's name consists of letters, digits, _ and - and is not longer than {words_names.MOST_NAME}")
        if candidate.op in chosen:
            raise OnnxError(f"--cut {shown(text)}: this place has the cut {chosen[candidate.op]} already")
        chosen[candidate.op] = name
    for op, name in chosen.items():
        words_structure.insert_cut(op, name, network.outputs)


def describe_cuts(network, everything):
    structure = words_structure.build(network.outputs)
    found = words_structure.candidates(structure, network.outputs)
    if not everything:
        found = words_structure.worth_showing(found, structure.order)[:MOST_CUTS]
    rows = []
    for c in found:
        name = c.op.tensors[0] if c.op.tensors else ""
        rows.append((name, words_layout.size_text(c.op.shape), c.payload, c.encoded))
    return rows


def as_picture(network, raw):
    """An encoded cut must not be larger than the raw input (SD309), which is a quarter once it is declared a picture."""
    images = [op for op in network.inputs if op.settings["image"] and op.shape[0] <= 4 and not op.settings.get("u8")]
    if len(images) != 1:
        return ""
    u8 = raw - words_structure.bytes_of_input(images[0]) * 3 // 4
    return f" as f32, {u8} with --picture, which then bounds encoded cuts"


def cut_lines(network, everything=False):
    rows = describe_cuts(network, everything)
    raw = sum(words_structure.bytes_of_input(op) for op in network.inputs)
    if not rows:
        return ["No place to cut with one tensor crossing."]
    which = "Every place" if everything else "Places, each smaller than all before it,"
    lines = [f"{which} to cut with one tensor crossing (import_onnx.py --cut TENSOR:NAME, or cut(NAME, affine_u8()) in the code).",
             f"Raw input: {raw} bytes{as_picture(network, raw)}. Payload as f32 and with affine_u8, in bytes:"]
    wide = min(max(len(name) for name, *_ in rows), 80)
    return lines + [f"  {name.ljust(wide)}  {shape:18} {payload:>9} {encoded:>9}" for name, shape, payload, encoded in rows]


def half(name, array):
    with numpy.errstate(over="ignore"):
        result = array.astype(numpy.float16)
    if not numpy.isfinite(result).all():
        raise OnnxError(f"--half: {name} holds values beyond half precision's 65504")
    return result


def write_both(folder, name, text, weights, metadata):
    """Both files or none: they are written under other names first."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        why = "a folder was expected" if isinstance(problem, (FileExistsError, NotADirectoryError)) else problem.strerror
        raise OnnxError(f"--out {shown(str(folder))}: {why}") from None
    header, tensors = folder / f"{name}.hpp", folder / f"{name}.safetensors"
    parts = [folder / f".{name}.{os.getpid()}.{kind}" for kind in ("hpp", "safetensors")]
    try:
        parts[0].write_text(text, encoding="ascii")
        safetensors_io.save(parts[1], weights, metadata)
        os.replace(parts[1], tensors)
        os.replace(parts[0], header)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return header, tensors


def convert(options):
    source = pathlib.Path(options.model)
    name = options.name or words_names.identifier(source.stem, "network").lower()
    if not options.name and not words_names.is_identifier(name):  # model files are often called after a word: conv.onnx
        name += "_net"
    if not words_names.is_identifier(name):
        raise OnnxError(f"the network cannot be called {shown(name)}; give --name a C++ name that is no word of the language")
    network = onnx_lowering.lower(onnx_file.read_model(source), parse_shapes(options.shape))
    take_normalisation(network)
    if options.picture:
        take_picture(network, options.picture)
    if options.list_cuts:
        print("\n".join(cut_lines(network, everything=True)))
        return
    possible = cut_lines(network)
    insert_cuts(network, options.cut)
    structure = words_structure.build(network.outputs)
    writer = words_writer.Writer(structure, network.outputs)
    opening = [f"Imported from {source.name} by tools/import_onnx.py. It is an ordinary declaration: read it, edit it, move the cuts."]
    inputs = ", ".join(f"{writer.labels[op]} {words_layout.size_text(op.shape)} {'u8' if op.settings.get('u8') else 'f32'}" for op in network.inputs)
    results = ", ".join((f"{task} " if len(network.outputs) > 1 else "") + words_layout.size_text(op.shape) for task, (_, op) in zip(writer.tasks, network.outputs))
    text = words_writer.header(writer, name, opening, {"struct": [f"Inputs: {inputs}. Outputs: {results}. Weights: {name}.safetensors."], "cuts": possible})
    weights = writer.weights()
    if options.half:
        weights = {n: half(n, a) for n, a in weights.items()}
    header, tensors = write_both(pathlib.Path(options.out) if options.out else source.parent, name, text, weights, {"made_by": "tools/import_onnx.py"})
    count = sum(a.size for a in weights.values())
    print(f"{header}: {len(structure.order)} words, inputs {inputs}, outputs {results}")
    print(f"{tensors}: {len(weights)} tensors, {count} values")
    for unread in network.unread:
        print(f"input {shown(unread)} is read by nothing and left out")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL.onnx")
    parser.add_argument("--out", metavar="DIR", help="where both files go; beside the model if left out")
    parser.add_argument("--name", help="of the struct and the files; the model's file name if left out")
    parser.add_argument("--shape", metavar="INPUT=C,H,W", action="append", default=[], help="sizes of an input that the file leaves open")
    parser.add_argument("--picture", choices=PICTURES, help="declare the image input as u8 and normalise it in the network")
    parser.add_argument("--cut", metavar="TENSOR[:NAME]", action="append", default=[], help="insert a lossless cut behind that tensor")
    parser.add_argument("--list-cuts", action="store_true", help="print every place to cut and what would cross; write nothing")
    parser.add_argument("--half", action="store_true", help="store the weights as F16")
    options = parser.parse_args(arguments)
    try:
        convert(options)
    except onnx_lowering.Unsupported as problem:
        count = sum(not line.startswith("(") for line in problem.lines)
        print(f"import_onnx.py: {shown(options.model)}: {count} node{'s' if count > 1 else ''} cannot be said with the language's words; nothing was written:", file=sys.stderr)
        print("\n".join("  " + line for line in problem.lines), file=sys.stderr)
        return 1
    except RecursionError:
        print(f"import_onnx.py: {shown(options.model)}: the graph's branches are nested too deeply to be written as expressions", file=sys.stderr)
        return 1
    except (OnnxError, OSError, MemoryError, ValueError) as problem:
        print(f"import_onnx.py: {shown(options.model)}: {shown(problem, 2000) or 'out of memory'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
