# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""A factorised prior (Ballé et al. 2018, appendix 6.1) as numbers: its cumulative function, and the integer tables that coding reads.

`tables(state, scope)` computes what CompressAI's EntropyBottleneck.update() stores, from the layers in a state_dict: `_matrixN`, `_biasN`,
`_factorN` (or `_matrices.N` and so on, as older files have them) and `quantiles`. The tables are made once and travel with the weights:
edge and cloud must have the same integers, and exp and tanh are not the same everywhere. Arithmetic is float64.
"""
import numpy

PRECISION = 16
LARGEST_ROW = 16384  # whole numbers a channel that a network takes (graph::most_prior_columns)


class PriorError(Exception):
    """What keeps a state_dict from being a prior."""


def softplus(x):
    return numpy.logaddexp(0, x)


def sigmoid(x):
    return numpy.exp(-numpy.logaddexp(0, -x))


def layers(state, scope):
    """[(matrix, bias, factor or None)], float64: (channels, out, in), (channels, out, 1)."""
    def tensor(word, plural, k):
        for name in (f"{scope}_{word}{k}", f"{scope}{plural}.{k}", f"{scope}_{plural}.{k}"):
            if name in state:
                return numpy.asarray(state[name], numpy.float64)
        return None
    found = []
    while tensor("matrix", "matrices", len(found)) is not None:
        k = len(found)
        found.append((tensor("matrix", "matrices", k), tensor("bias", "biases", k), tensor("factor", "factors", k)))
    if not found or any(bias is None for _, bias, _ in found):
        raise PriorError(f"{scope}: neither tables nor the layers they are computed from")
    require_chain(found, scope)
    return found


def require_chain(model, scope):
    """A channel's layers go from one value to one value, each taking what the one before gives."""
    channels, before = model[0][0].shape[:1], 1
    for k, (matrix, bias, factor) in enumerate(model):
        given = matrix.shape[1:2]
        if matrix.shape != (*channels, *given, before) or bias.shape != (*channels, *given, 1) or (factor is not None and factor.shape != bias.shape) \
                or not all(numpy.isfinite(t).all() for t in (matrix, bias, factor) if t is not None):
            raise PriorError(f"{scope}: expected finite layers of (channels, out, in) that take each what the one before gives, found another in layer {k}")
        before = given[0]
    if not channels or not channels[0] or before != 1:
        raise PriorError(f"{scope}: expected layers that end in one value for each of at least one channel, found others")


def logits(model, x):
    """The cumulative function of (channels, 1, n) values, before its sigmoid."""
    for matrix, bias, factor in model:
        x = softplus(matrix) @ x + bias
        if factor is not None:
            x = x + numpy.tanh(factor) * numpy.tanh(x)
    return x


def likelihoods(model, x):
    """The prior's mass of [x - 1/2, x + 1/2]; from the side where the sigmoid keeps its digits."""
    lower, upper = logits(model, x - 0.5), logits(model, x + 0.5)
    sign = numpy.where(lower + upper > 0, -1, 1)
    return numpy.abs(sigmoid(sign * upper) - sigmoid(sign * lower))


def cumulative(pmf, precision=PRECISION):
    """Masses as a rising row of integers from 0 to 2^precision, each at least 1 wide: the narrowest that can spare it gives to those with none."""
    pmf = numpy.asarray(pmf, numpy.float64)
    if not numpy.isfinite(pmf).all() or (pmf < 0).any() or pmf.sum() <= 0:
        raise PriorError("a channel's masses are no distribution")
    whole = 1 << precision
    if len(pmf) > whole:
        raise PriorError(f"{len(pmf)} symbols do not fit {precision} bits")
    row = numpy.concatenate([[0], numpy.cumsum(numpy.floor(pmf * whole + 0.5))]).astype(numpy.int64)
    row = row * whole // row[-1]
    row[-1] = whole
    width = numpy.diff(row)
    for empty in numpy.flatnonzero(width == 0):
        able = numpy.flatnonzero(width > 1)
        width[able[numpy.argmin(width[able])]] -= 1
        width[empty] += 1
    return numpy.concatenate([[0], numpy.cumsum(width)])


def tables(state, scope):
    """{`_quantized_cdf`, `_offset`, `_cdf_length`} as int32."""
    model = layers(state, scope)
    quantiles = numpy.asarray(state[scope + "quantiles"], numpy.float64)
    if quantiles.shape != (len(model[0][0]), 1, 3) or not numpy.isfinite(quantiles).all():
        raise PriorError(f"{scope}quantiles: expected three finite numbers for each of {len(model[0][0])} channels, found {quantiles.shape} or others")
    quantiles = quantiles[:, 0]
    medians = quantiles[:, 1]
    below, above = (numpy.clip(numpy.ceil(reach), 0, LARGEST_ROW).astype(int) for reach in (medians - quantiles[:, 0], quantiles[:, 2] - medians))
    length = below + above + 1
    if length.max() > LARGEST_ROW:
        raise PriorError(f"{scope}: {length.max()} whole numbers in a channel, expected at most {LARGEST_ROW}")
    grid = numpy.arange(length.max())[None, None] + (medians - below)[:, None, None]
    mass = likelihoods(model, grid)
    first, last = sigmoid(logits(model, grid[:, :, :1] - 0.5))[:, 0, 0], logits(model, grid + 0.5)
    rows = numpy.zeros((len(length), int(length.max()) + 2), numpy.int32)
    for c, n in enumerate(length):
        rest = first[c] + sigmoid(-last[c, 0, n - 1])  # everything that is not in the row
        rows[c, :n + 2] = cumulative(numpy.append(mass[c, 0, :n], rest))
    return {"_quantized_cdf": rows, "_offset": (-below).astype(numpy.int32), "_cdf_length": (length + 2).astype(numpy.int32)}


def completed(state):
    """`state` with the tables of every `...entropy_bottleneck.` whose buffers are empty or missing: its update() was not called."""
    result = dict(state)
    for name in state:
        scope, dot, last = name.rpartition("entropy_bottleneck.")
        if last != "quantiles" or not dot:
            continue
        scope += dot
        if any(numpy.size(state.get(scope + word, ())) == 0 for word in ("_quantized_cdf", "_offset", "_cdf_length")):
            result.update({scope + word: table for word, table in tables(state, scope).items()})
    return result
