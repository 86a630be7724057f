# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""What the loops of train_drive.py and train_fleet.py have in common: one step, a checkpoint to go on from, and weights as they are stored."""
import numpy
import torch


def descend(optimiser, loss, rate):
    """One step down the loss at a rate of learning; the loss as a number."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss.item()


def save_checkpoint(path, model, optimiser, **progress):
    """Written beside and renamed: it is there whole or not at all."""
    fresh = path.with_suffix(".new")
    torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), **progress}, fresh)
    fresh.replace(path)


def load_checkpoint(path, model, optimiser, device=None):
    """Brings both to where the checkpoint was saved and returns it; none if there is no such file."""
    if not path.exists():
        return None
    saved = torch.load(path, map_location=device)
    model.load_state_dict(saved["model"])
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
