# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Detectors, segmentation, split attention and learned compression in PyTorch; rows for zoo_models.MODELS.

Each model gives its raw outputs as one (n, values) tensor, in the order of the library's outputs, and keeps its own `state_dict` names.
"""
import functools
import pathlib
import sys
import types

import numpy
import torch
import torchvision
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "numeric"))
import prior_reference  # noqa: E402

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
DAMPED = 0.2    # of residual branches: a deep random network is chaotic without it (of 269 layers, PyTorch's own f32 and f64 differ by a tenth of the range)
VGG = ((0.48235, 0.45882, 0.40784), (0.00392156862745098,) * 3)


def together(tensors):
    return torch.cat([t.flatten(1) for t in tensors], 1)


def answering(make, raw):
    """A model of torchvision's whose forward is `raw(model, x)`."""
    def build():
        model = make()
        model.forward = types.MethodType(raw, model)
        return model
    return build


def detection(name, **options):
    return functools.partial(getattr(torchvision.models.detection, name), weights=None, weights_backbone=None, **options)


def segmentation(name):
    return answering(functools.partial(getattr(torchvision.models.segmentation, name), weights=None, weights_backbone=None),
                     lambda self, x: functional.interpolate(self.classifier(self.backbone(x) if "lraspp" in name else self.backbone(x)["out"]), x.shape[2:],
                                                            mode="bilinear", align_corners=False))


def two_each(logits, offsets):
    return together([t for pair in zip(logits, offsets) for t in pair])


def raw_single_shot(self, x):
    maps = list(self.backbone(x).values())
    logits = [m(f) for m, f in zip(self.head.classification_head.module_list, maps)]
    offsets = [m(f) for m, f in zip(self.head.regression_head.module_list, maps)]
    return two_each(logits, offsets)


def raw_pyramid(self, x, read=4):
    """`read`: how many of the maps regions are read from."""
    maps = list(self.backbone(functional.pad(x, (0, -x.shape[3] % 32, 0, -x.shape[2] % 32))).values())
    logits, offsets = self.rpn.head(maps)
    return torch.cat([together(maps[:read]), two_each(logits, offsets)], 1)


class Regions(nn.Module):
    """torchvision's box head over many regions at once, its dense layers as 1x1 convolutions."""

    def __init__(self, classes=91):
        super().__init__()
        self.roi_heads = nn.Module()
        self.roi_heads.box_head, self.roi_heads.box_predictor = nn.Module(), nn.Module()
        self.roi_heads.box_head.fc6, self.roi_heads.box_head.fc7 = nn.Conv2d(12544, 1024, 1), nn.Conv2d(1024, 1024, 1)
        self.roi_heads.box_predictor.cls_score, self.roi_heads.box_predictor.bbox_pred = nn.Conv2d(1024, classes, 1), nn.Conv2d(1024, 4 * classes, 1)

    def forward(self, x):
        head, predictor = self.roi_heads.box_head, self.roi_heads.box_predictor
        x = torch.relu(head.fc7(torch.relu(head.fc6(x))))
        return together([predictor.cls_score(x), predictor.bbox_pred(x)])


def unit(before, channels, kernel=1, stride=1, groups=1, act=nn.ReLU6):
    return nn.Sequential(nn.Conv2d(before, channels, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(channels), *([act()] if act else []))


class MobileNetSSD(nn.Module):
    """Six levels: two of the backbone, four of extra layers; 1x1 predictors. `parts` of the backbone's features end a level each."""

    def __init__(self, features, walk, channels, classes=91):
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.features = features
        self.walk = walk
        before, extra = channels[1], []
        for c in (512, 256, 256, 128):
            extra.append(nn.Sequential(unit(before, c // 2), unit(c // 2, c, 3, 2)))
            before = c
        self.backbone.extra = nn.Sequential(*extra)
        self.head = nn.Module()
        for name, values in (("classification_head", classes), ("regression_head", 4)):
            part = nn.Module()
            part.module_list = nn.ModuleList([nn.Conv2d(c, 6 * values, 1) for c in (*channels, 512, 256, 256, 128)])
            setattr(self.head, name, part)

    def maps(self, x):
        found = list(self.walk(self.backbone.features, x))
        for layer in self.backbone.extra:
            found.append(layer(found[-1]))
        return found

    def forward(self, x):
        maps = self.maps(x)
        return two_each([m(f) for m, f in zip(self.head.classification_head.module_list, maps)], [m(f) for m, f in zip(self.head.regression_head.module_list, maps)])


def ssd_mobilenet_v1():
    layers, before = [unit(3, 32, 3, 2)], 32
    for channels, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)):
        layers.append(nn.Sequential(unit(before, before, 3, stride, before), unit(before, channels)))
        before = channels

    def walk(features, x):
        first = features[:12](x)
        return first, features[12:](first)
    return MobileNetSSD(nn.Sequential(*layers), walk, (512, 1024))


def ssd_mobilenet_v2():
    def walk(features, x):
        first = features[14].conv[0](features[:14](x))
        return first, features[15:](features[14].conv[1:](first))
    return MobileNetSSD(torchvision.models.mobilenet_v2(weights=None).features, walk, (576, 1280))


class SplitAttention(nn.Module):
    """Zhang et al. 2020, figure 2, two splits; names as in timm."""

    def __init__(self, channels):
        super().__init__()
        inner = max(32, (channels // 2 + 4) // 8 * 8)
        self.conv, self.bn0 = nn.Conv2d(channels, 2 * channels, 3, 1, 1, groups=2, bias=False), nn.BatchNorm2d(2 * channels)
        self.fc1, self.bn1, self.fc2 = nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner), nn.Conv2d(inner, 2 * channels, 1)

    def forward(self, x):
        x = torch.relu(self.bn0(self.conv(x)))
        splits = x.reshape(x.shape[0], 2, -1, *x.shape[2:])
        pooled = splits.sum(1).mean((2, 3), keepdim=True)
        attention = self.fc2(torch.relu(self.bn1(self.fc1(pooled))))
        attention = torch.softmax(attention.reshape(x.shape[0], 2, -1, 1, 1), 1)
        return (splits * attention).sum(1)


class ResNeStBlock(nn.Module):
    def __init__(self, before, channels, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, channels, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2 = SplitAttention(channels)
        self.pool = nn.AvgPool2d(3, stride, 1) if stride > 1 else nn.Identity()
        self.conv3, self.bn3 = nn.Conv2d(channels, 4 * channels, 1, bias=False), nn.BatchNorm2d(4 * channels)
        self.bn3.damped = DAMPED
        if before != 4 * channels or stride > 1:
            pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
            self.downsample = nn.Sequential(pool, nn.Conv2d(before, 4 * channels, 1, bias=False), nn.BatchNorm2d(4 * channels))
        else:
            self.downsample = nn.Identity()

    def forward(self, x):
        y = self.pool(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def resnest_layers(model, counts, first=1, before=64):
    for stage in range(first, 5):
        blocks, channels = [], 32 << stage
        for i in range(counts[stage - 1]):
            blocks.append(ResNeStBlock(before, channels, 2 if i == 0 and stage > 1 else 1))
            before = 4 * channels
        setattr(model, f"layer{stage}", nn.Sequential(*blocks))


class ResNeSt(nn.Module):
    def __init__(self, width, counts):
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                                   nn.Conv2d(width, 2 * width, 3, 1, 1, bias=False))
        self.bn1 = nn.BatchNorm2d(2 * width)
        resnest_layers(self, counts, 1, 2 * width)
        self.fc = nn.Linear(2048, 1000)

    def forward(self, x):
        x = functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.fc(self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))


class Divisive(nn.Module):
    """x / (beta + gamma |x|), or its inverse, with plain parameters."""

    def __init__(self, channels, inverse=False):
        super().__init__()
        self.beta, self.gamma = nn.Parameter(0.5 + torch.rand(channels)), nn.Parameter(torch.rand(channels, channels) / channels)
        self.inverse, self.multiplications_a_value = inverse, channels

    def forward(self, x):
        divisor = torch.einsum("ij,njhw->nihw", self.gamma, x.abs()) + self.beta[:, None, None]
        return x * divisor if self.inverse else x / divisor


def prior_tables(channels):
    """A module with what CompressAI's EntropyBottleneck stores: rows a few steps wide about random medians."""
    prior = prior_reference.spread_prior(channels, 1.5, numpy.random.default_rng(5))
    module, columns = nn.Module(), max(map(len, prior.rows))
    medians = torch.from_numpy(prior.median)[:, None, None]
    module.register_buffer("quantiles", torch.cat([medians - 10, medians, medians + 10], 2))
    module.register_buffer("_offset", torch.tensor(prior.offset, dtype=torch.int32))
    module.register_buffer("_cdf_length", torch.tensor([len(r) for r in prior.rows], dtype=torch.int32))
    module.register_buffer("_quantized_cdf", torch.tensor([r + [0] * (columns - len(r)) for r in prior.rows], dtype=torch.int32))
    return module


class EntropicStudent(nn.Module):
    """Encoder, decoder and a ResNet-50 or ResNeSt-269e from layer2 on."""

    def __init__(self, deep=False, channels=24):
        super().__init__()

        def plain(before, after, kernel, stride=1, pad=0):
            return nn.Conv2d(before, after, kernel, stride, pad, bias=False)
        self.bottleneck_layer = nn.Module()
        self.bottleneck_layer.entropy_bottleneck = prior_tables(channels)
        self.bottleneck_layer.encoder = nn.Sequential(plain(3, 4 * channels, 5, 2, 2), Divisive(4 * channels), plain(4 * channels, 2 * channels, 5, 2, 2), Divisive(2 * channels),
                                                      plain(2 * channels, channels, 2))
        self.bottleneck_layer.decoder = nn.Sequential(plain(channels, 512, 2, 1, 1), Divisive(512, True), plain(512, 256, 2), Divisive(256, True), plain(256, 256, 2, 1, 1))
        if deep:
            resnest_layers(self, (3, 30, 48, 8), 2, 256)
            self.fc = nn.Linear(2048, 1000)
            return
        whole = torchvision.models.resnet50(weights=None)
        for name in ("layer2", "layer3", "layer4", "fc"):
            setattr(self, name, getattr(whole, name))

    def encode(self, x):
        return self.bottleneck_layer.encoder(x)

    def decode(self, x):
        return self.fc(self.layer4(self.layer3(self.layer2(self.bottleneck_layer.decoder(x)))).mean((2, 3)))

    def forward(self, x):
        return self.decode(self.encode(x))


class Ladon(EntropicStudent):
    """Three heads over Entropic Student's backbone: its classes, DeepLabV3's mask, and Faster R-CNN's pyramid and proposals."""

    def __init__(self, deep=False):
        super().__init__(deep)
        self.fpn = torchvision.ops.FeaturePyramidNetwork([256, 512, 1024, 2048], 256, torchvision.ops.feature_pyramid_network.LastLevelMaxPool())
        self.rpn = nn.Module()
        self.rpn.head = torchvision.models.detection.rpn.RPNHead(256, 3)
        self.classifier = torchvision.models.segmentation.deeplabv3.DeepLabHead(2048, 21)

    def decode(self, x):
        c2 = self.bottleneck_layer.decoder(x)
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        c5 = self.layer4(c4)
        maps = list(self.fpn(dict(zip("2345", (c2, c3, c4, c5)))).values())
        mask = functional.interpolate(self.classifier(c5), (4 * c2.shape[2], 4 * c2.shape[3]), mode="bilinear", align_corners=False)
        logits, offsets = self.rpn.head(maps)
        return torch.cat([self.fc(c5.mean((2, 3))), mask.flatten(1), together(maps[:4]), two_each(logits, offsets)], 1)


def faster_rcnn():
    model = detection("fasterrcnn_resnet50_fpn")()
    for name, module in model.named_modules():
        if name.endswith("bn3"):
            module.damped = DAMPED
    return model


def faster_rcnn_mobilenet():
    model = detection("fasterrcnn_mobilenet_v3_large_320_fpn")()
    for module in model.modules():
        if getattr(module, "use_res_connect", False):
            module.block[-1][1].damped = DAMPED
    return model


# As zoo_models.MODELS.
MODELS = {
    "ssd300_vgg16": (answering(detection("ssd300_vgg16"), raw_single_shot), VGG, 35641826, ()),
    "ssdlite320_mobilenet_v3_large": (answering(detection("ssdlite320_mobilenet_v3_large"), raw_single_shot), HALF, 3440060, ()),
    "ssd_mobilenet_v1": (ssd_mobilenet_v1, HALF, None, ()),
    "ssd_mobilenet_v2": (ssd_mobilenet_v2, HALF, None, ()),
    "faster_rcnn_resnet50_fpn": (answering(faster_rcnn, raw_pyramid), IMAGENET, 41755286 + 53120 - 14362055, ("roi_heads.",)),
    "faster_rcnn_regions": (Regions, None, 14362055, ()),
    "faster_rcnn_mobilenet_v3_large_320_fpn": (answering(faster_rcnn_mobilenet, functools.partial(raw_pyramid, read=1)), IMAGENET, 19386354 + 24400 - 14362055,
                                               ("roi_heads.",)),
    "faster_rcnn_regions_150": (Regions, None, 14362055, ()),
    "lraspp_mobilenet_v3_large": (segmentation("lraspp_mobilenet_v3_large"), IMAGENET, 3221538, ()),
    "deeplabv3_mobilenet_v3_large": (segmentation("deeplabv3_mobilenet_v3_large"), IMAGENET, 11029328 - 3851, ()),
    "resnest14d": (functools.partial(ResNeSt, 32, (1, 1, 1, 1)), IMAGENET, 10611688, ()),
    "resnest269e": (functools.partial(ResNeSt, 64, (3, 30, 48, 8)), IMAGENET, 110929480, ()),
    "entropic_student_lossless": (EntropicStudent, IMAGENET, None, ()),
    "ladon_resnet50": (Ladon, IMAGENET, None, ()),
    "ladon_resnest269e": (functools.partial(Ladon, True), IMAGENET, None, ()),
    "entropic_student_resnest269e_lossless": (functools.partial(EntropicStudent, True), IMAGENET, None, ()),
}
# A codec inside makes steps of rounding errors. What these send is compared with PyTorch's, and their answer with PyTorch's to the same bytes.
CODED = {"entropic_student_resnet50": "entropic_student_lossless", "entropic_student_resnest269e": "entropic_student_resnest269e_lossless"}
MODELS.update({name: MODELS[lossless] for name, lossless in CODED.items()})
CODED.update({name: name for name in MODELS if name.startswith("ladon_")})
