# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Names of weights, labels and files, made of what an imported file says.

Nothing of it is copied into code: names become [A-Za-z0-9_-]+ before they stand in a string, comments hold printable characters only.
"""
import re

from onnx_file import OnnxError

MOST_NAME, MOST_DEPTH, MOST_LABELS = 48, 12, 240
WEIGHTED = {"conv", "conv_transpose", "dense", "batch_norm", "affine"}
WORDS = {"input", "values", "normalise", "conv", "conv_transpose", "dense", "batch_norm", "relu", "relu6", "leaky_relu", "hard_swish",
         "hard_sigmoid", "sigmoid", "tanh", "softmax", "max_pool", "avg_pool", "global_pool", "upsample", "pad", "pad_channels",
         "slice_channels", "subsample", "flatten", "identity", "add", "multiply", "concat", "residual", "named", "repeat", "tap", "from",
         "cut", "task", "fan_out", "bias", "f32", "u8", "imagenet", "splitdsl", "std", "main"}
KEYWORDS = set("""alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class compl concept
    const consteval constexpr constinit const_cast continue co_await co_return co_yield decltype default delete do double dynamic_cast else
    enum explicit export extern false float for friend goto if inline int long mutable namespace new noexcept not not_eq nullptr operator
    or or_eq private protected public register reinterpret_cast requires return short signed sizeof static static_assert static_cast
    struct switch template this thread_local throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t
    while xor xor_eq""".split())


def label(text, otherwise):
    """A name the language takes: letters, digits, _ and -, not empty, not long."""
    clean = re.sub(r"[^A-Za-z0-9_-]+", "_", text.strip("/."))[:MOST_NAME].strip("_")
    return clean or otherwise


def is_identifier(text):
    return re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]{0,63}", text) is not None and "__" not in text and text not in KEYWORDS and text not in WORDS


def identifier(text, otherwise):
    clean = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9]+", "_", text)).strip("_")[:MOST_NAME]
    return clean if re.match(r"[A-Za-z]", clean) else f"{otherwise}_{clean}".strip("_")


def comment(text, most=80):
    """Text for the inside of a // comment: no control characters, no backslash, no other alphabet."""
    clean = re.sub(r"[^A-Za-z0-9 _.,:;/()\[\]+=#-]", "_", text)
    return clean if len(clean) <= most else clean[:most - 3] + "..."


def node_name(node):
    return node.name or (node.outputs[0] if node.outputs else "") if node else ""


def module_path(node):
    """The scopes a node's name speaks of: /layer1/layer1.0/conv1/Conv is layer1, 0, conv1, as exporters of PyTorch write it."""
    name = node_name(node)
    parts = [p for p in name.split("/") if p]
    operator = node.operator.lower() if node else ""
    if parts and (len(parts) > 1 or name.startswith("/")) and re.sub(r"(_\d+)?(_output_\d+)?$", "", parts[-1].lower()) in (operator, operator + "2d"):
        parts.pop()
    path, before = [], ""
    for part in parts[:64]:
        rest = part[len(before) + 1:] if before and part.startswith(before + ".") else part
        path += [p for p in rest.split(".") if p]
        before = part
    return [label(p, "layer") for p in path]


def wanted_path(op):
    """Where an op's weights say they belong, else where its node does."""
    match = re.fullmatch(r"(.+)\.weight", op.weight_name)
    path = [label(p, "layer") for p in match.group(1).split(".") if p] if match and "::" not in op.weight_name else module_path(op.node)
    path = path or [label(node_name(op.node).strip("/").split("/")[-1], op.word)]
    if path[0] == "selftest":  # files carry self-test tensors under that name
        path[0] = "selftest_"
    return path[:MOST_DEPTH - 1] + (["_".join(path[MOST_DEPTH - 1:])[:MOST_NAME]] if len(path) >= MOST_DEPTH else [])


def name_weights(ops):
    """op -> path. Two ops get one path only if they share all weights."""
    paths, taken = {}, {}
    for op in ops:
        if op.word not in WEIGHTED:
            continue
        kind = (op.word, *sorted((n, id(a), a.shape) for n, a in op.weights.items())) if op.weights else (op.word, id(op))
        path = wanted_path(op)
        candidate, number = tuple(path), 1
        while taken.get(candidate, kind) != kind:
            number += 1
            candidate = (*path[:-1], f"{path[-1]}_{number}")
        taken[candidate] = kind
        paths[op] = candidate
    return paths


class Labels:
    """Inputs, taps, cuts and tasks share one set of names."""

    def __init__(self):
        self.taken = set()

    def make(self, text, otherwise):
        clean, number = label(text, otherwise), 1
        result = clean
        while result in self.taken:
            number += 1
            result = f"{clean}_{number}"
        self.taken.add(result)
        if len(self.taken) > MOST_LABELS:
            raise OnnxError(f"the network would need more than {MOST_LABELS} inputs, taps, cuts and tasks")
        return result
