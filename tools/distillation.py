# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""The losses by which a network with a bottleneck learns from the one it stands in for, and what is frozen meanwhile.

feature_distance    sum of squares between layers' values: head network distillation (SAGE Eq. 11, one layer), generalised (BottleFit Eq. 4, several)
mixed_loss          the task's own loss and a teacher's soft targets (SAGE Eq. 10, BottleFit Eq. 6 and 7)
freeze              parameters that get no gradient, batch norms that keep their statistics
"""
import torch
from torch.nn import functional


def feature_distance(students, teachers, factors=None):
    """Sum over layers of a factor (1) times the sum of squared differences, of one picture: values (batch, channels, height, width) of a layer, both alike."""
    if len(students) != len(teachers) or not students:
        raise ValueError(f"expected a student's layer for each of the teacher's, at least one, found {len(students)} and {len(teachers)}")
    factors = [1.0] * len(students) if factors is None else factors
    total = 0
    for s, t, factor in zip(students, teachers, factors, strict=True):
        if s.shape != t.shape:
            raise ValueError(f"expected layers of one shape, found {tuple(s.shape)} of the student and {tuple(t.shape)} of the teacher")
        total = total + factor * functional.mse_loss(s, t.detach(), reduction="sum")
    return total / students[0].shape[0]


def soft_distance(student, teacher, temperature=1.0, kind="kl"):
    """How far logits (batch, classes) are from a teacher's, mean over the batch.

    kl: temperature squared times KL(teacher || student) of the softened probabilities: the gradient that Hinton et al. give; BottleFit's Eq. 6 writes KL(q, p), and
    its published code computes this. probabilities, logits: half the squared distance (SAGE section 3.4 names all three).
    """
    teacher = teacher.detach()
    if kind == "kl":
        return temperature ** 2 * functional.kl_div(functional.log_softmax(student / temperature, 1), functional.softmax(teacher / temperature, 1), reduction="batchmean")
    if kind == "probabilities":
        student, teacher = functional.softmax(student / temperature, 1), functional.softmax(teacher / temperature, 1)
    elif kind != "logits":
        raise ValueError(f"expected kl, probabilities or logits, found {kind}")
    return 0.5 * (student - teacher).square().sum(1).mean()


def mixed_loss(student, teacher, labels, alpha=0.5, temperature=1.0, kind="kl"):
    """alpha times the cross entropy with the labels (batch), 1 - alpha times `soft_distance`."""
    return alpha * functional.cross_entropy(student, labels) + (1 - alpha) * soft_distance(student, teacher, temperature, kind)


def belongs(name, prefixes):
    return any(name == p or name.startswith(p + ".") for p in prefixes)


def freeze(model, prefixes):
    """The weights below these names stay as they are, bit for bit. To be called after every `train()`; gives the parameters that do learn."""
    for name, module in model.named_modules():
        if belongs(name, prefixes):
            module.eval()  # a batch norm that trains would go on averaging
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not belongs(name, prefixes))
    return [p for p in model.parameters() if p.requires_grad]
