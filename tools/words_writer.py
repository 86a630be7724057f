# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Writes a `Structure` as a C++ header with the language's words, and names its weights.

Names and comments from the imported file pass through words_names.py; numbers are formatted from numbers.
"""
import re

import numpy

from onnx_file import OnnxError
from words_layout import Atom, Call, Chain, count_parts, inline, lay, print_lines
from words_names import Labels, comment, identifier, module_path, name_weights, node_name


def number(value):
    text = repr(float(numpy.format_float_scientific(numpy.float32(value), unique=True)))
    return text + "F" if "." in text or "e" in text else text + ".0F"


def extent(pair):
    return str(int(pair[0])) if pair[0] == pair[1] else f"{{{int(pair[0])}, {int(pair[1])}}}"


def sides(pad):
    top, left, bottom, right = (int(p) for p in pad)
    if top == left == bottom == right:
        return str(top)
    return f"{{{top}, {left}}}" if (top, left) == (bottom, right) else f"{{{top}, {left}, {bottom}, {right}}}"


def options(entries):
    shown = ", ".join(f".{name} = {value}" for name, value in entries if value is not None)
    return "{" + shown + "}"


class Words:
    """The text of single words; `readers` decides where the automatic bias would guess wrong."""

    def __init__(self, order, outputs, labels):
        self.readers = {}
        for op in order:
            for x in op.inputs:
                self.readers.setdefault(x, []).append(op.word)
        for _, op in outputs:
            self.readers.setdefault(op, []).append("output")
        self.labels = labels

    def bias(self, op):
        automatic = self.readers.get(op) not in (["batch_norm"], ["affine"])
        has = "bias" in op.weights
        return None if has == automatic else ("bias::yes" if has else "bias::no")

    def text(self, op):
        return getattr(self, op.word)(op) if hasattr(self, op.word) else f"{op.word}()"

    def input(self, op):
        name, kind = self.labels[op], "u8" if op.settings.get("u8") else "f32"
        if not op.settings["image"]:
            return f'input("{name}", {kind}, values{{{op.shape[0]}}})'
        return f'input("{name}", {kind}, {{.channels = {op.shape[0]}, .height = {op.shape[1]}, .width = {op.shape[2]}}})'

    def normalise(self, op):
        if "preset" in op.settings:
            return f"normalise({op.settings['preset']})"
        mean, deviation = op.settings["mean"], op.settings["deviation"]
        lists = ["{" + ", ".join(number(v) for v in [*values, *[rest] * (4 - len(values))]) + "}" for values, rest in ((mean, 0), (deviation, 1))]
        return f"normalise({{{lists[0]}, {lists[1]}}})"

    def conv(self, op):
        s = op.settings
        kernel, dilation = s["kernel"], s["dilation"]
        same = [d * (k - 1) // 2 for k, d in zip(kernel, dilation)]
        entries = [("kernel", None if list(kernel) == [1, 1] else extent(kernel)), ("stride", None if list(s["stride"]) == [1, 1] else extent(s["stride"])),
                   ("pad", None if list(s["pad"]) == same * 2 else sides(s["pad"])), ("dilation", None if list(dilation) == [1, 1] else extent(dilation)),
                   ("groups", None if s["groups"] == 1 else int(s["groups"])), ("with_bias", self.bias(op))]
        return f"conv({op.shape[0]}, {options(entries)})"

    def conv_transpose(self, op):
        s = op.settings
        entries = [("kernel", extent(s["kernel"])), ("stride", extent(s["stride"])), ("pad", sides(s["pad"]) if any(s["pad"]) else None),
                   ("output_pad", extent(s["output_pad"]) if any(s["output_pad"]) else None),
                   ("dilation", None if list(s["dilation"]) == [1, 1] else extent(s["dilation"])), ("with_bias", self.bias(op))]
        return f"conv_transpose({op.shape[0]}, {options(entries)})"

    def dense(self, op):
        bias = self.bias(op)
        return f"dense({op.shape[0]}, {bias})" if bias else f"dense({op.shape[0]})"

    def batch_norm(self, op):
        epsilon = numpy.float32(op.settings["epsilon"])
        return "batch_norm()" if epsilon == numpy.float32(1e-5) else f"batch_norm({number(epsilon)})"

    def affine(self, op):
        return "batch_norm(0.0F)"

    def leaky_relu(self, op):
        return f"leaky_relu({number(op.settings['slope'])})"

    def pool(self, op, include=None):
        s = op.settings
        entries = [("kernel", extent(s["kernel"])), ("stride", None if list(s["stride"]) == list(s["kernel"]) else extent(s["stride"])),
                   ("pad", sides(s["pad"]) if any(s["pad"]) else None), ("ceil", "true" if s["ceil"] else None), ("count_include_pad", include)]
        return f"{op.word}({options(entries)})"

    def max_pool(self, op):
        return self.pool(op)

    def avg_pool(self, op):
        return self.pool(op, None if op.settings["count_include_pad"] else "false")

    def pad(self, op):
        value = op.settings["value"]
        pad = sides(op.settings["pad"])
        return f"pad({pad}, {number(value)})" if value else f"pad({pad})"

    def pad_channels(self, op):
        return f"pad_channels({op.settings['before']}, {op.settings['after']})"

    def slice_channels(self, op):
        return f"slice_channels({op.settings['first']}, {op.settings['count']})"

    def subsample(self, op):
        return f"subsample({extent(op.settings['every'])})"

    def upsample(self, op):
        s = op.settings
        entries = [("factor", extent(s["factor"])) if "factor" in s else ("size", extent(s["size"])),
                   ("bilinear", "true" if s["bilinear"] else None), ("align_corners", "true" if s["align_corners"] else None)]
        return f"upsample({options(entries)})"

    def cut(self, op):
        return f'cut("{self.labels[op]}")'


class Writer:
    def __init__(self, structure, outputs):
        self.structure = structure
        self.outputs = outputs
        self.paths = name_weights(structure.order)
        self.hints = {}
        self.labels, makers = {}, Labels()
        for op in structure.order:
            if op.word == "input":
                self.labels[op] = makers.make(op.settings["name"], "input")
        for op in structure.order:
            if op.word == "cut":
                self.labels[op] = op.settings["name"]
                if op.settings["name"] in makers.taken:
                    raise OnnxError(f"two cuts or inputs would be called {op.settings['name']}; give the cut another name: --cut TENSOR:NAME")
                makers.taken.add(op.settings["name"])
        self.tasks = [makers.make(name, "task") for name, _ in outputs]
        for op in structure.order:
            if op in structure.tapped and op.word not in ("input", "cut"):
                self.labels[op] = makers.make("_".join(module_path(op.node)) or node_name(op.node) or op.word, op.word)
        self.words = Words(structure.order, outputs, self.labels)
        self.functions, self.function_names = [], set()

    # Scopes: each item's path is what it must stand in (weights inside) or would like to (a node's name).

    def hard_paths(self, items):
        for item in items:
            if item.word != "from" and item.op in self.paths:
                yield self.paths[item.op]
            for branch in item.branches:
                yield from self.hard_paths(branch)

    def scope_of(self, item):
        """(path, whether weights inside force it)"""
        if item.op in self.paths and item.word != "from":
            return self.paths[item.op], True
        hint = tuple(module_path(item.op.node)) if item.word not in ("from", "input", "cut") else ()
        inside = list(self.hard_paths([item]))
        if not inside:
            return hint, False
        common = inside[0]
        for path in inside[1:]:
            length = 0
            while length < min(len(common), len(path)) and common[length] == path[length]:
                length += 1
            common = common[:length]
        if len(inside) == 1:
            common = common[:-1]
        shorter = 0
        while shorter < min(len(hint), len(common)) and hint[shorter] == common[shorter]:
            shorter += 1
        speaks = item.op.node is not None and node_name(item.op.node).startswith("/")      # names of other exporters say nothing about scopes
        return (common[:shorter] if speaks or shorter == len(hint) else common), True

    def chain(self, items, depth):
        """A sequence as a tree; every item stands in `depth` scopes already."""
        scopes = [self.scope_of(item) for item in items]
        parts, at = [], 0
        while at < len(items):
            group = self.group(scopes, at, depth)
            if group is None:
                parts.append(self.part(items[at], depth))
                at += 1
                continue
            key, begin, end = group
            inner = self.chain(items[begin:end], depth + 1)
            path = next(p for p, hard in scopes[begin:end] if hard)[:depth + 1]
            inner = self.hoist(inner, path)
            parts.append(self.named(key, inner, items[end - 1].op.shape))
            at = end
        return Chain(self.repeated(parts), items[-1].op.shape if items else ())

    @staticmethod
    def group(scopes, at, depth):
        """(key, begin, end) of the run that shares its next scope and begins here, or None."""
        begin = at
        while at < len(scopes) and not scopes[at][1]:
            at += 1
        if at == len(scopes) or len(scopes[at][0]) <= depth:
            return None
        key = scopes[at][0][depth]
        if any(len(p) <= depth or p[depth] != key for p, _ in scopes[begin:at]):
            return None
        end, probe = at + 1, at + 1
        while probe < len(scopes):
            path, hard = scopes[probe]
            mine = len(path) > depth and path[depth] == key
            if hard and not mine:
                break
            probe += 1
            if hard:
                end = probe
        while end < len(scopes) and not scopes[end][1] and len(scopes[end][0]) > depth and scopes[end][0][depth] == key:
            end += 1
        return key, begin, end

    @staticmethod
    def named(key, inner, shape):
        name = key if re.fullmatch(r"0|[1-9][0-9]{0,5}", key) else f'"{key}"'
        text = inline(inner)
        if len(text) < 60 and isinstance(inner, Chain) and len(inner.parts) == 1:
            return Atom(f"named({name}, {text})", shape)
        return Call(f"named({name}, ", [inner], shape=shape)

    def part(self, item, depth):
        if item.word == "from":
            return Atom(f'from("{self.labels[item.op]}")', item.op.shape)
        if item.branches:
            tree = self.join(item, depth)
        else:
            tree = Atom(self.words.text(item.op), item.op.shape, soft=item.op not in self.paths and item.word not in ("input", "cut"))
        if item.op in self.structure.tapped and item.word not in ("input", "cut"):
            tree = Call(f'tap("{self.labels[item.op]}", ', [tree], shape=item.op.shape)
        return tree

    def join(self, item, depth):
        branches = [self.chain(branch, depth) for branch in item.branches]
        shape = item.op.shape
        if item.word == "tasks":
            return Call("fan_out(", [Call(f'task("{name}", ', [tree], shape=op.shape) for name, (_, op), tree in zip(self.tasks, self.outputs, branches)], shape=shape)
        if item.word == "add" and len(branches) == 2 and not self.starts_elsewhere(item):
            full = [tree for tree in branches if tree.parts]
            if len(full) == 1:
                return Call("residual(", full, shape=shape)
            if len(full) == 2:
                return Call("residual(", full, shape=shape)
        return Call(f"{item.word}(", branches, shape=shape)

    @staticmethod
    def starts_elsewhere(item):
        return any(branch and branch[0].word in ("from", "input") for branch in item.branches)

    def hoist(self, tree, path):
        """A long scope becomes a function of its own."""
        if len(inline(tree)) < 420 and count_parts(tree) < 12:
            return tree
        base = identifier("_".join(path), "scope")
        name, count = base + "_part", 1
        while name in self.function_names:
            count += 1
            name = f"{base}_{count}_part"
        self.function_names.add(name)
        self.functions.append((name, path, tree))
        return Atom(f"{name}()", tree.shape)

    @staticmethod
    def repeated(parts):
        """named(0, x) | named(1, x) | ... as repeat."""
        result, at = [], 0

        def key_of(part):
            text = inline(part)
            match = re.match(r"named\((\d+), ", text)
            return (int(match.group(1)), text[match.end():], print_lines(lay(part, 0)).split(", ", 1)[1]) if match else None

        keys = [key_of(p) for p in parts]
        while at < len(parts):
            end = at + 1
            while end < len(parts) and keys[at] and keys[end] and keys[end] == (keys[at][0] + end - at, *keys[at][1:]) and 'tap("' not in keys[at][1] and 'cut("' not in keys[at][1]:
                end += 1
            if end - at < 2 or len(keys[at][1]) < 40:
                result.append(parts[at])
                at += 1
                continue
            first = keys[at][0]
            index = f"i + {first}" if first else "i"
            part = parts[at]
            inner = part.trees if isinstance(part, Call) else [Atom(keys[at][1][:-1], part.shape)]
            result.append(Call(f"repeat<{end - at}>([](int i) {{ return named({index}, ", inner, closing="); })", shape=part.shape))
            at = end
        return result

    def body(self):
        return self.chain(self.structure.items, 0)

    def weights(self):
        """Full names and arrays, as the file holds them."""
        result = {}
        for op in self.structure.order:
            if op not in self.paths:
                continue
            values = op.weights
            if op.word == "affine":
                channels = op.shape[0]
                values = {"weight": op.settings["scale"].astype(numpy.float32), "bias": op.settings["shift"].astype(numpy.float32),
                          "running_mean": numpy.zeros(channels, numpy.float32), "running_var": numpy.ones(channels, numpy.float32)}
            for name, array in values.items():
                result[".".join(self.paths[op]) + "." + name] = array
        return result


def header(writer, name, opening, notes):
    """The whole file. `opening` and `notes` are lines for comments."""
    tree = writer.body()
    lines = [f"/// @file {name}.hpp", *[f"/// {comment(line, 300)}" for line in opening], "#pragma once", "", "#include <splitdsl/language.hpp>", ""]
    if writer.functions:
        lines += [f"namespace {name}_parts {{", "", "using namespace splitdsl;", ""]
        for function, path, inner in writer.functions:
            laid = lay(inner, 11)
            laid[-1] = (laid[-1][0] + ";", laid[-1][1])
            lines += [f"/// {comment('.'.join(path))}", f"constexpr auto {function}() {{", print_lines([("    return " + laid[0][0], laid[0][1]), *laid[1:]]), "}", ""]
        lines += [f"}} // namespace {name}_parts", ""]
    laid = lay(tree, 15)
    laid[-1] = (laid[-1][0] + ";", laid[-1][1])
    lines += [*[f"/// {comment(line, 300)}" for line in notes["struct"]], f"struct {name} {{", "    static constexpr auto graph() {", "        using namespace splitdsl;"]
    lines += [f"        using namespace {name}_parts;"] if writer.functions else []
    lines += [print_lines([("        return " + laid[0][0], laid[0][1]), *laid[1:]]), "    }", "};", f"static_assert(splitdsl::check<{name}>);"]
    if notes["cuts"]:
        lines += ["", *[f"// {comment(line, 200)}".rstrip() for line in notes["cuts"]]]
    return "\n".join(lines) + "\n"
