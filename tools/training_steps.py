# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""What the loops of train_drive.py, train_bottleneck.py and train_fleet.py have in common: one step, a checkpoint to go on from, and weights as they are stored."""
import contextlib
import fcntl
import io
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


@contextlib.contextmanager
def claimed(path, wait=False):
    """While it lasts, no other run writes `path`: a second one is refused (ValueError), or waits. However a run ends, its claim ends with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise ValueError(f"{path}: expected no other run that writes it, found one that has not ended: wait for it, or name another --work") from None
        except OSError:
            pass  # a file system without locks
        yield


def save_whole(path, content):
    """torch.save, written beside and renamed: it is there whole or not at all. OSError if it cannot be written."""
    packed = io.BytesIO()      # PyTorch itself ends in a RuntimeError that names no file where a disk is full
    torch.save(content, packed)
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.write_bytes(packed.getbuffer())
        fresh.replace(path)
    except OSError as problem:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise OSError(problem.errno, problem.strerror, str(path)) from None


def save_checkpoint(path, model, optimiser, **progress):
    save_whole(path, {"model": model.state_dict(), "optimiser": optimiser.state_dict(), **progress})


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
    if not isinstance(state, dict) or not all(isinstance(n, str) and torch.is_tensor(t) for n, t in state.items()):
        raise ValueError(f"{path}: expected the weights of this network, found no tensors by names")
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
        try:
            optimiser.load_state_dict(saved["optimiser"])
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as problem:
            raise ValueError(f"{path}: expected the state of this optimiser, found another ({type(problem).__name__})") from None
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
