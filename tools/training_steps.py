# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""What the loops of train_drive.py, train_bottleneck.py and train_fleet.py have in common: one step, a checkpoint to go on from, and weights as they are stored."""
import math

import numpy
import torch


def descend(optimiser, loss, rate):
    """One step down the loss at a rate of learning; the loss as a number. One that is not finite would only make more of its kind: ValueError, and no step."""
    value = loss.item()
    if not math.isfinite(value):
        raise ValueError(f"expected a finite loss, found {value}: the training diverged at a rate of {rate:g}, or the weights it began with are not finite")
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return value


def save_checkpoint(path, model, optimiser, **progress):
    """Written beside and renamed: it is there whole or not at all."""
    fresh = path.with_suffix(".new")
    torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), **progress}, fresh)
    fresh.replace(path)


def load_saved(path, device=None):
    """What torch.save wrote to `path`. A ValueError if it is something else or cut off; OSError if there is no such file."""
    with open(path, "rb") as file:
        try:
            return torch.load(file, map_location=device)
        except Exception as problem:  # PyTorch raises RuntimeError, EOFError, UnpicklingError, KeyError ... by how a file is damaged
            raise ValueError(f"{path}: expected what an earlier run saved, found a file that is damaged or something else ({type(problem).__name__})") from None


def take_state(path, model, state):
    """Puts all of a saved state into a model, or says which names do not fit it."""
    own = model.state_dict()
    wrong = sorted(n for n in own.keys() | state.keys() if n not in own or n not in state or own[n].shape != state[n].shape)
    if wrong:
        raise ValueError(f"{path}: expected the weights of this network, found others: {len(wrong)} names are missing, foreign or of another shape, as {', '.join(wrong[:3])}")
    model.load_state_dict(state)


def load_checkpoint(path, model, optimiser, device=None):
    """Brings both to where the checkpoint was saved and returns it; none if there is no such file."""
    if not path.exists():
        return None
    saved = load_saved(path, device)
    if not isinstance(saved, dict) or "model" not in saved:
        raise ValueError(f"{path}: expected a checkpoint, found something else that torch.save wrote")
    take_state(path, model, saved["model"])
    if "optimiser" in saved:
        optimiser.load_state_dict(saved["optimiser"])
    return saved


def halved(state):
    """The tensors of a state as they are stored: rounded to half precision, which must hold them."""
    result = {}
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        array = tensor.numpy().astype(numpy.float16)
        if not numpy.isfinite(array).all():
            raise ValueError(f"{name} does not fit half precision")
        result[name] = array
    return result
