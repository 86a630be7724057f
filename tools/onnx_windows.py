# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX operators with a window: convolutions, pools, and means over height and width."""
import math

from onnx_file import shown
from onnx_operator import Refused, Tensor, operator


def window(node, kernel, size, dilation, transposed=False):
    """(stride, padding as top, left, bottom, right) of a node with a window."""
    stride = node.small("strides", node.ints("strides", 2, [1, 1]), 1)
    mode = node.word_attribute("auto_pad", "NOTSET")
    if mode == "VALID":
        return stride, (0, 0, 0, 0)
    if mode == "NOTSET":
        return stride, tuple(node.small("pads", node.ints("pads", 4, [0, 0, 0, 0]), 0))
    if mode not in ("SAME_UPPER", "SAME_LOWER") or transposed:
        raise Refused(f"auto_pad is {shown(mode)}")
    before, after = [], []
    for axis in (0, 1):
        wide = dilation[axis] * (kernel[axis] - 1) + 1
        total = max((math.ceil(size[axis] / stride[axis]) - 1) * stride[axis] + wide - size[axis], 0)
        less, more = total // 2, total - total // 2
        before.append(less if mode == "SAME_UPPER" else more)
        after.append(more if mode == "SAME_UPPER" else less)
    return stride, (*before, *after)


def windowed(size, kernel, stride, pad, dilation=(1, 1), ceil=False):
    result = []
    for axis in (0, 1):
        before, after = pad[axis], pad[axis + 2]
        room = size[axis] + before + after - dilation[axis] * (kernel[axis] - 1) - 1
        if room < 0:
            raise Refused(f"its window {shown(list(kernel))} is larger than its input {shown(list(size))} with its padding {shown(list(pad))}")
        n = (-(-room // stride[axis]) if ceil else room // stride[axis]) + 1
        if ceil and (n - 1) * stride[axis] >= size[axis] + before:
            raise Refused("ceil_mode would place a window in the padding alone, where frameworks disagree")
        result.append(n)
    return result


@operator("Conv")
def conv(node, x, weight, bias=None):
    channels, *size = node.image(x)
    weight = node.constant(weight, "weight")
    if weight.ndim != 4:
        raise Refused(f"its weight has the shape {weight.shape}; only two-dimensional convolutions can be said")
    out, per_group, *kernel = weight.shape
    groups = node.attribute("group", 1)
    dilation = node.small("dilations", node.ints("dilations", 2, [1, 1]), 1)
    node.small("kernel_shape", kernel, 1)
    if node.ints("kernel_shape", 2, list(kernel)) != list(kernel):
        raise Refused(f"kernel_shape is {shown(node.attribute('kernel_shape'))}, the weight's is {list(kernel)}")
    if groups < 1 or per_group * groups != channels or out % groups:
        raise Refused(f"{groups} groups of a weight of shape {weight.shape} do not fit {channels} channels")
    stride, pad = window(node, kernel, size, dilation)
    source, outside = x.op, pad
    if source.word == "pad" and source.settings["value"] == 0:  # exporters write asymmetric padding as a node of its own
        outside = tuple(p + q for p, q in zip(pad, source.settings["pad"]))
        source = source.inputs[0]
    shape = (out, *windowed(source.shape[1:], kernel, stride, node.small("pads", outside, 0), dilation))
    settings = {"kernel": kernel, "stride": stride, "pad": outside, "dilation": dilation, "groups": groups}
    return node.as_image(node.make("conv", [source], shape, settings, node.with_bias(weight, bias, out), node.name_of(1)))


@operator("ConvTranspose")
def conv_transpose(node, x, weight, bias=None):
    channels, *size = node.image(x)
    weight = node.constant(weight, "weight")
    if weight.ndim != 4 or weight.shape[0] != channels:
        raise Refused(f"its weight has the shape {weight.shape}, which does not fit {channels} channels in two dimensions")
    if node.attribute("group", 1) != 1:
        raise Refused("a transposed convolution in groups cannot be said")
    _, out, *kernel = weight.shape
    dilation = node.small("dilations", node.ints("dilations", 2, [1, 1]), 1)
    extra = node.small("output_padding", node.ints("output_padding", 2, [0, 0]), 0)
    if node.attribute("output_shape") is not None:
        raise Refused("output_shape is given; export with explicit padding")
    stride, pad = window(node, node.small("kernel_shape", kernel, 1), size, dilation, transposed=True)
    shape = [out] + [(size[a] - 1) * stride[a] - pad[a] - pad[a + 2] + dilation[a] * (kernel[a] - 1) + extra[a] + 1 for a in (0, 1)]
    settings = {"kernel": kernel, "stride": stride, "pad": pad, "output_pad": extra, "dilation": dilation}
    return node.as_image(node.make("conv_transpose", [x.op], shape, settings, node.with_bias(weight, bias, out), node.name_of(1)))


def pool(node, x, word):
    channels, *size = node.image(x)
    kernel = node.small("kernel_shape", node.ints("kernel_shape", 2, []), 1)
    if node.ints("dilations", 2, [1, 1]) != [1, 1]:
        raise Refused("a dilated pool cannot be said")
    stride, pad = window(node, kernel, size, [1, 1])
    if any(2 * p > kernel[i % 2] for i, p in enumerate(pad)):
        raise Refused(f"its padding {shown(list(pad))} is more than half its window {shown(kernel)}")
    ceil = bool(node.attribute("ceil_mode", 0))
    shape = (channels, *windowed(size, kernel, stride, pad, ceil=ceil))
    if ceil and shape[1:] == tuple(windowed(size, kernel, stride, pad)):
        ceil = False
    settings = {"kernel": kernel, "stride": stride, "pad": pad, "ceil": ceil}
    if word == "avg_pool":
        if kernel == list(size) and not any(pad):
            return node.as_image(node.make("global_pool", [x.op], (channels, 1, 1)))
        settings["count_include_pad"] = bool(node.attribute("count_include_pad", 0)) or not any(pad)
    return node.as_image(node.make(word, [x.op], shape, settings))


@operator("MaxPool")
def max_pool(node, x):
    if len([n for n in node.proto.outputs if n]) > 1:
        raise Refused("its indices are asked for")
    return pool(node, x, "max_pool")


@operator("AveragePool")
def average_pool(node, x):
    return pool(node, x, "avg_pool")


@operator("GlobalAveragePool")
def global_average_pool(node, x):
    return node.as_image(node.make("global_pool", [x.op], (node.image(x)[0], 1, 1)))


@operator("GlobalMaxPool")
def global_max_pool(node, x):
    channels, *size = node.image(x)
    node.small("its input", size, 1)
    settings = {"kernel": list(size), "stride": list(size), "pad": (0, 0, 0, 0), "ceil": False}
    return node.as_image(node.make("max_pool", [x.op], (channels, 1, 1), settings))


def reduced(node, x, axes, what, pooled):
    """`pooled(node, x)` where all of height and width become one value a channel."""
    if isinstance(x, Tensor) and x.op.shape[1:] == (1, 1) and len(x.dims) != 4:
        raise Refused(f"it reads a tensor of shape {shown(x.dims)}; only the {what} over height and width can be said")
    channels = node.image(x)[0]
    if node.axes(axes, [], 4) != [2, 3]:
        raise Refused(f"only the {what} over height and width can be said")
    return [Tensor(pooled(node, x)[0].op, [1, channels, 1, 1] if node.attribute("keepdims", 1) else [1, channels])]


@operator("ReduceMean")
def reduce_mean(node, x, axes=None):
    return reduced(node, x, axes, "mean", global_average_pool)


@operator("ReduceMax")
def reduce_max(node, x, axes=None):
    return reduced(node, x, axes, "maximum", global_max_pool)
