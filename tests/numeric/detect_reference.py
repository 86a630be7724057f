#!/usr/bin/python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Detection's arithmetic against torchvision's, on torchvision's own tensors.

    detect_reference.py LIBRARY     LIBRARY is detect_exports.cpp as a shared library

Equal bit for bit: suppression's choices, anchors, default boxes, pyramid levels, RoIAlign. Box coding goes through exp, log and a softmax,
whose last bits differ between libraries: 1e-6 of the picture. Whole post-processings must choose the same boxes with the same labels.
"""
import argparse
import ctypes
import sys

try:
    import numpy
    import torch
    import torchvision
    from torchvision.models.detection import _utils, anchor_utils, image_list, roi_heads, rpn, ssd
except ImportError as missing:
    print(f"SKIPPED: the comparison with torchvision needs PyTorch and torchvision ({missing}); Debian: python3-torch python3-torchvision")
    sys.exit(0)

LIBRARY = None
FAILED = []


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def floats(tensor):
    return numpy.ascontiguousarray(tensor.detach().numpy().astype(numpy.float32))


def pointers(arrays):
    return (ctypes.c_void_p * len(arrays))(*[a.ctypes.data for a in arrays])


def check(what, good, detail=""):
    print(f"{'ok  ' if good else 'FAIL'} {what} {detail}")
    if not good:
        FAILED.append(what)


def call(name, *arguments):
    function = getattr(LIBRARY, name)
    function.restype = ctypes.c_size_t
    return function(*[ctypes.c_float(a) if isinstance(a, float) else ctypes.c_size_t(a.value) if isinstance(a, ctypes.c_size_t) else a for a in arguments])


def random_boxes(n, width=300.0, height=200.0, least=0.0):
    corner = torch.rand(n, 2) * torch.tensor([width, height]) * 0.8
    return torch.cat([corner, corner + least + torch.rand(n, 2) * torch.tensor([width, height]) * 0.4], 1)


def box_coding():
    for weights in ((1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)):
        coder = _utils.BoxCoder(weights)
        starts, targets = random_boxes(5000, least=1.0), random_boxes(5000, least=1.0)
        ours = numpy.zeros((5000, 4), numpy.float32)
        w = numpy.array(weights, numpy.float32)
        call("splitdsl_encode", pointer(floats(targets)), pointer(floats(starts)), ctypes.c_size_t(5000), pointer(w), pointer(ours))
        theirs = coder.encode_single(targets, starts).numpy()
        worst = float((numpy.abs(ours - theirs) / numpy.maximum(1, numpy.abs(theirs))).max())
        check(f"encode, weights {weights}", worst <= 1e-6, f"worst {worst:.1e}")
        offsets = torch.randn(5000, 4) * 3
        offsets[:100] *= 100        # beyond the bound on growth
        call("splitdsl_decode", pointer(floats(offsets)), pointer(floats(starts)), ctypes.c_size_t(5000), pointer(w), pointer(ours))
        theirs = coder.decode_single(offsets, starts).numpy()
        worst = float((numpy.abs(ours - theirs) / numpy.maximum(300, numpy.abs(theirs))).max())
        check(f"decode, weights {weights}", worst <= 1e-6, f"worst {worst:.1e}")


def suppression():
    for n in (0, 1, 2, 17, 300, 1000, 1001, 4000):
        boxes = random_boxes(n)
        scores = torch.rand(n)
        if n > 10:
            scores[: n // 4] = torch.round(scores[: n // 4] * 8) / 8       # ties
            boxes[5] = boxes[6]
            boxes[7, 2:] = boxes[7, :2]                                    # empty
        kept = numpy.zeros(max(n, 1), numpy.int32)
        for overlap in (0.3, 0.5, 0.7):
            got = call("splitdsl_suppress", pointer(floats(boxes)), pointer(floats(scores)), None, ctypes.c_size_t(n), overlap, pointer(kept))
            theirs = torchvision.ops.nms(boxes, scores, overlap).numpy() if n else numpy.zeros(0)
            check(f"suppression, {n} boxes, overlap {overlap}", got == len(theirs) and (kept[:got] == theirs).all(), f"{got} kept")
            labels = torch.randint(0, 5, (n,))
            distinct = torch.rand(n)                                      # torchvision's order of equal scores is not fixed here
            got = call("splitdsl_suppress", pointer(floats(boxes)), pointer(floats(distinct)), pointer(labels.numpy().astype(numpy.int32)), ctypes.c_size_t(n), overlap, pointer(kept))
            theirs = torchvision.ops.batched_nms(boxes, distinct, labels, overlap).numpy()
            check(f"suppression by class, {n} boxes, overlap {overlap}", got == len(theirs) and (kept[:got] == theirs).all(), f"{got} kept")


def roi_align():
    for channels, height, width, scale in ((8, 50, 68, 0.25), (3, 7, 9, 0.03125), (1, 1, 1, 1.0)):
        features = torch.randn(1, channels, height, width)
        regions = torch.cat([random_boxes(100, 272.0, 200.0), torch.tensor([[-50.0, -20.0, 30.0, 40.0], [250, 190, 400, 300], [10, 10, 10, 10], [0, 0, 272, 200], [900, 900, 950, 950]])])
        for size, samples, aligned in ((7, 2, False), (14, 2, False), (7, 3, True), (1, 1, False)):
            ours = numpy.zeros((len(regions), channels, size, size), numpy.float32)
            call("splitdsl_roi_align", pointer(floats(features)), channels, height, width, scale, pointer(floats(regions)), ctypes.c_size_t(len(regions)), size, samples, int(aligned), pointer(ours))
            theirs = torchvision.ops.roi_align(features, [regions], size, scale, samples, aligned).numpy()
            check(f"RoIAlign of ({channels}, {height}, {width}) into {size}, {samples} samples, aligned {aligned}", (ours == theirs).all(), f"worst {numpy.abs(ours - theirs).max():.1e}")
    regions = torch.cat([random_boxes(20000, 1300.0, 1300.0), torch.tensor([[0.0, 0.0, 224.0, 224.0], [0, 0, 112, 112], [0, 0, 448, 448], [5, 5, 5, 5]])])
    levels = numpy.zeros(len(regions), numpy.int32)
    call("splitdsl_pyramid_levels", pointer(floats(regions)), ctypes.c_size_t(len(regions)), pointer(levels))
    mapper = torchvision.ops.poolers.initLevelMapper(2, 5)
    check("pyramid levels", (levels == mapper([regions]).numpy() + 2).all())


def start_boxes():
    for name, generator, cells, size in (
            ("SSD300", anchor_utils.DefaultBoxGenerator([[2], [2, 3], [2, 3], [2, 3], [2], [2]], scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05], steps=[8, 16, 32, 64, 100, 300]), (38, 19, 10, 5, 3, 1), 300),
            ("SSDLite320", anchor_utils.DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95), (20, 10, 5, 3, 2, 1), 320)):
        maps = [torch.zeros(1, 1, c, c) for c in cells]
        theirs = generator(image_list.ImageList(torch.zeros(1, 3, size, size), [(size, size)]), maps)[0].numpy()
        grid = numpy.array([[c, c] for c in cells], numpy.int32)
        scales, steps = numpy.array(generator.scales, numpy.float64), None if generator.steps is None else numpy.array(generator.steps, numpy.float64)
        ratios, counts = numpy.array(sum(generator.aspect_ratios, []), numpy.float64), numpy.array([len(r) for r in generator.aspect_ratios], numpy.int32)
        ours = numpy.zeros_like(theirs)
        got = call("splitdsl_default_boxes", pointer(grid), pointer(scales), pointer(ratios), pointer(counts), None if steps is None else pointer(steps), len(cells), size, size, pointer(ours), ctypes.c_size_t(len(ours)))
        check(f"default boxes of {name}", got == len(theirs) and (ours == theirs).all(), f"{got} boxes, worst {numpy.abs(ours - theirs).max():.1e}")
    generator = anchor_utils.AnchorGenerator(((32,), (64,), (128,), (256,), (512,)), ((0.5, 1.0, 2.0),) * 5)
    cells = [(80, 100), (40, 50), (20, 25), (10, 13), (5, 7)]
    theirs = generator(image_list.ImageList(torch.zeros(1, 3, 320, 400), [(320, 400)]), [torch.zeros(1, 1, *c) for c in cells])[0].numpy()
    ours = numpy.zeros_like(theirs)
    got = call("splitdsl_anchors", pointer(numpy.array(cells, numpy.int32)), pointer(numpy.array([32, 64, 128, 256, 512], numpy.float32)), pointer(numpy.array([0.5, 1, 2], numpy.float32)), 3, 5, 400, 320, pointer(ours), ctypes.c_size_t(len(ours)))
    check("anchors of Faster R-CNN", got == len(theirs) and (ours == theirs).all(), f"{got} anchors")
    return theirs, cells


def same_detections(what, n, boxes, scores, labels, theirs):
    good = n == len(theirs["scores"]) and (labels[:n] == theirs["labels"].numpy()).all()
    worst = max(float(numpy.abs(boxes[:n] - theirs["boxes"].numpy()).max()), float(numpy.abs(scores[:n] - theirs["scores"].numpy()).max())) if good and n else 0.0
    check(what, good and n > 0 and worst <= 3e-4, f"{n} detections, worst {worst:.1e} pixels")


def out_arrays(n):
    return numpy.zeros((n, 4), numpy.float32), numpy.zeros(n, numpy.float32), numpy.zeros(n, numpy.int32)


def single_shot():
    for spread in (1.0, 3.0):
        classes, shapes, cells = 21, (4, 6, 6, 6, 4, 4), (38, 19, 10, 5, 3, 1)
        generator = anchor_utils.DefaultBoxGenerator([[2], [2, 3], [2, 3], [2, 3], [2], [2]], scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05], steps=[8, 16, 32, 64, 100, 300])
        logits = [torch.randn(1, a * classes, c, c) * spread for a, c in zip(shapes, cells)]
        offsets = [torch.randn(1, a * 4, c, c) for a, c in zip(shapes, cells)]
        starts = generator(image_list.ImageList(torch.zeros(1, 3, 300, 300), [(300, 300)]), logits)[0]

        def flat(tensors, k):
            return torch.cat([t.view(1, -1, k, *t.shape[2:]).permute(0, 3, 4, 1, 2).reshape(1, -1, k) for t in tensors], 1)

        model = ssd.SSD(torch.nn.Identity(), generator, (300, 300), classes, head=torch.nn.Identity())
        theirs = model.postprocess_detections({"bbox_regression": flat(offsets, 4), "cls_logits": flat(logits, classes)}, [starts], [(300, 300)])[0]
        head = numpy.array([[c, c, a] for a, c in zip(shapes, cells)], numpy.int32)
        boxes, scores, labels = out_arrays(200)
        n = call("splitdsl_single_shot", pointer(head), 6, pointer(floats(starts)), ctypes.c_size_t(len(starts)), 300, 300, classes, 0.01, 400, 0.45, 200,
                 pointers(a := [floats(t) for t in logits]), pointers(b := [floats(t) for t in offsets]), pointer(boxes), pointer(scores), pointer(labels))
        del a, b
        same_detections(f"SSD's post-processing, logits spread {spread}", n, boxes, scores, labels, theirs)


def two_stage(starts, cells):
    objectness = [torch.randn(1, 3, *c) for c in cells]
    offsets = [torch.randn(1, 12, *c) * 0.3 for c in cells]
    network = rpn.RegionProposalNetwork(None, None, 0.7, 0.3, 256, 0.5, {"training": 2000, "testing": 1000}, {"training": 2000, "testing": 1000}, 0.7).eval()
    counts = [3 * c[0] * c[1] for c in cells]
    flat_objectness, flat_offsets = rpn.concat_box_prediction_layers(list(objectness), list(offsets))
    decoded = network.box_coder.decode(flat_offsets.detach(), [torch.from_numpy(starts)]).view(1, -1, 4)
    theirs, _ = network.filter_proposals(decoded, flat_objectness, [(320, 400)], counts)
    theirs = theirs[0].numpy()
    head = numpy.array([[c[0], c[1], 3] for c in cells], numpy.int32)
    ours = numpy.zeros((1000, 4), numpy.float32)
    n = call("splitdsl_proposals", pointer(head), 5, pointer(starts), ctypes.c_size_t(len(starts)), 400, 320, 1000, 1000, 0.7,
             pointers(a := [floats(t) for t in objectness]), pointers(b := [floats(t) for t in offsets]), pointer(ours), ctypes.c_size_t(1000))
    del a, b
    matched = sum(bool((numpy.abs(theirs - o).max(1) < 1e-3).any()) for o in ours[:n]) if n else 0
    check("proposals", n == len(theirs) and matched >= 0.995 * n, f"{n} proposals, {matched} of them torchvision's")
    for spread in (1.0, 4.0):
        regions = torch.from_numpy(theirs)
        logits, deltas = torch.randn(len(regions), 91) * spread, torch.randn(len(regions), 364)
        heads = roi_heads.RoIHeads(None, None, None, 0.5, 0.5, 512, 0.25, None, 0.05, 0.5, 100).eval()
        b, s, l = heads.postprocess_detections(logits, deltas, [regions], [(320, 400)])
        capacity = 1000
        columns = [numpy.zeros((k, capacity), numpy.float32) for k in (91, 364)]
        columns[0][:, :len(regions)], columns[1][:, :len(regions)] = logits.numpy().T, deltas.numpy().T
        boxes, scores, labels = out_arrays(100)
        n = call("splitdsl_regions", pointer(columns[0]), pointer(columns[1]), ctypes.c_size_t(capacity), pointer(theirs), ctypes.c_size_t(len(theirs)), 91, 400, 320, pointer(boxes), pointer(scores), pointer(labels))
        same_detections(f"Faster R-CNN's second stage, logits spread {spread}", n, boxes, scores, labels, {"boxes": b[0], "scores": s[0], "labels": l[0]})


def main():
    global LIBRARY
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library")
    LIBRARY = ctypes.CDLL(parser.parse_args().library)
    torch.manual_seed(7)
    torch.set_num_threads(1)
    box_coding()
    suppression()
    roi_align()
    starts, cells = start_boxes()
    single_shot()
    two_stage(starts, cells)
    print(f"{len(FAILED)} of the comparisons differ")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
