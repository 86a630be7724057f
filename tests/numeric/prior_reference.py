#!/usr/bin/python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Coding by a learned prior in Python's integers, the reference for <splitdsl/codec/entropy_bottleneck.hpp>.

    prior_reference.py LIBRARY    compare a library made of prior_exports.cpp with this file, byte for byte:
        g++ -std=c++20 -O2 -shared -fPIC -Iinclude tests/numeric/prior_exports.cpp -o prior.so
        /usr/bin/python3 tests/numeric/prior_reference.py ./prior.so

Where CompressAI can be imported, both are compared with its coder as well.
"""
import ctypes
import pathlib
import sys

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import entropy_prior  # noqa: E402

LEAST, MOST = 1 << 31, 32767


class Prior:
    """rows[c]: cumulative frequencies; offset[c]: the whole number of the first entry; median[c] (f32)."""

    def __init__(self, rows, offset, median):
        self.rows, self.offset = [[int(v) for v in row] for row in rows], [int(v) for v in offset]
        self.median = numpy.asarray(median, numpy.float32)

    @classmethod
    def of_state(cls, state, scope):
        length = [int(n) for n in state[scope + "_cdf_length"]]
        return cls([row[:n] for row, n in zip(state[scope + "_quantized_cdf"].tolist(), length)], state[scope + "_offset"].tolist(), numpy.asarray(state[scope + "quantiles"])[:, 0, 1])

    def steps(self, values):
        """(channels, plane) f32 values as whole numbers from the medians."""
        return numpy.clip(numpy.rint(values - self.median[:, None]), -MOST, MOST).astype(int)

    def values(self, steps):
        return steps.astype(numpy.float32) + self.median[:, None]


def symbols(prior, steps):
    """[(start, frequency)] of 65 536, or [(nibble, None)], in the decoder's order."""
    out = []
    for c, line in enumerate(steps.tolist()):
        row, levels = prior.rows[c], len(prior.rows[c]) - 2
        for value in line:
            at = value - prior.offset[c]
            inside = 0 <= at < levels
            symbol = at if inside else levels
            out.append((row[symbol], row[symbol + 1] - row[symbol]))
            if inside:
                continue
            folded = -2 * at - 1 if at < 0 else 2 * (at - levels)
            nibbles = []
            while folded:
                nibbles.append(folded & 15)
                folded >>= 4
            out += [(n, None) for n in [len(nibbles), *nibbles]]
    return out


def encode(prior, steps):
    state, words = LEAST, []
    for start, frequency in reversed(symbols(prior, steps)):
        if state >= (4096 if frequency is None else frequency) << 47:
            words.append(state & 0xffffffff)
            state >>= 32
        state = state << 4 | start if frequency is None else (state // frequency << 16) + state % frequency + start
    stream = state.to_bytes(8, "little") + b"".join(w.to_bytes(4, "little") for w in reversed(words))
    if len(stream) <= 2 * steps.size + 8:
        return stream
    return b"\xff" * 8 + steps.astype("<i2").tobytes()


def decode(prior, payload, plane):
    """(channels, plane) whole numbers; ValueError if the payload is none."""
    count = len(prior.rows) * plane
    if payload[:8] == b"\xff" * 8:
        if len(payload) != 8 + 2 * count:
            raise ValueError("a payload of another size")
        return numpy.frombuffer(payload[8:], "<i2").reshape(-1, plane).astype(int)
    state, at = int.from_bytes(payload[:8], "little"), 8
    steps = numpy.zeros((len(prior.rows), plane), int)

    def refilled(x, at):
        if x >= LEAST:
            return x, at
        if at + 4 > len(payload):
            raise ValueError("the payload ends too early")
        return x << 32 | int.from_bytes(payload[at:at + 4], "little"), at + 4
    for c, row in enumerate(prior.rows):
        levels, bounds = len(row) - 2, numpy.array(row[1:])
        for i in range(plane):
            slot = state & 0xffff
            symbol = int(numpy.searchsorted(bounds, slot, "right"))
            state, at = refilled((row[symbol + 1] - row[symbol]) * (state >> 16) + slot - row[symbol], at)
            value = prior.offset[c] + symbol
            if symbol == levels:
                nibbles = [state & 15]
                state, at = refilled(state >> 4, at)
                for _ in range(nibbles[0]):
                    nibbles.append(state & 15)
                    state, at = refilled(state >> 4, at)
                folded = sum(n << 4 * k for k, n in enumerate(nibbles[1:]))
                value = prior.offset[c] - (folded >> 1) - 1 if folded & 1 else value + (folded >> 1)
            steps[c, i] = value
    if state != LEAST or at != len(payload):
        raise ValueError("the payload does not end where its values do")
    return steps


def ideal_bytes(prior, steps):
    """What the prior's own frequencies cost, nibbles of outliers included."""
    return sum(4 if f is None else 16 - numpy.log2(f) for _, f in symbols(prior, steps)) / 8


def spread_prior(channels, deviation, random):
    """Logistic rows about random medians, as a trained prior's tables are made."""
    rows, offset = [], []
    for scale in deviation * numpy.exp(random.normal(0, 0.5, channels)):
        reach = int(numpy.ceil(8 * scale))
        k = numpy.arange(-reach, reach + 1)
        mass = entropy_prior.sigmoid((k + 0.5) / scale) - entropy_prior.sigmoid((k - 0.5) / scale)
        rows.append(entropy_prior.cumulative(numpy.append(mass, 1 - mass.sum())))
        offset.append(-reach)
    return Prior(rows, offset, random.normal(0, 3, channels))


class Library:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.library.splitdsl_encode_by_prior.restype = self.library.splitdsl_decode_by_prior.restype = ctypes.c_size_t

    @staticmethod
    def tables(prior):
        columns = max(map(len, prior.rows))
        quantiles = numpy.zeros((len(prior.rows), 1, 3), numpy.float32)
        quantiles[:, 0, 1] = prior.median
        rows = numpy.array([row + [0] * (columns - len(row)) for row in prior.rows], numpy.float32)
        held = [numpy.array([len(r) for r in prior.rows], numpy.float32), numpy.array(prior.offset, numpy.float32), quantiles, rows]
        return held, [*(a.ctypes.data_as(ctypes.c_void_p) for a in held), ctypes.c_int(columns), ctypes.c_int(len(prior.rows))]

    def encode(self, prior, values):
        _held, arguments = self.tables(prior)
        to = numpy.zeros(2 * values.size + 8, numpy.uint8)
        return to[:self.library.splitdsl_encode_by_prior(*arguments, ctypes.c_size_t(values.shape[1]), values.ctypes.data_as(ctypes.c_void_p), to.ctypes.data_as(ctypes.c_void_p))].tobytes()

    def decode(self, prior, payload, plane):
        _held, arguments = self.tables(prior)
        values, data = numpy.zeros((len(prior.rows), plane), numpy.float32), numpy.frombuffer(payload, numpy.uint8)
        read = self.library.splitdsl_decode_by_prior(*arguments, ctypes.c_size_t(plane), data.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(payload)), values.ctypes.data_as(ctypes.c_void_p))
        return values if read == len(payload) else None


def compressai():
    """Its coder, or None. (1.2.8 makes room for as many words as there are symbols, and ends with two.)"""
    try:
        from compressai import ans
        return ans.RansEncoder()
    except ImportError:
        return None


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    ours, theirs, random = Library(sys.argv[1]), compressai(), numpy.random.default_rng(1)
    wrong, worst, payloads, with_theirs = [], 0.0, 0, 0
    for deviation in (0.05, 0.3, 1, 4, 30, 400):
        for channels, plane in ((1, 1), (3, 17), (24, 400)):
            for wild in (0, 0.02, 0.9):
                prior = spread_prior(channels, deviation, random)
                values = random.logistic(0, deviation, (channels, plane)) * numpy.where(random.random((channels, plane)) < wild, 1000, 1) + prior.median[:, None]
                values = values.astype(numpy.float32)
                steps, what = prior.steps(values), f"deviation {deviation}, {channels} x {plane}, {wild} outliers"
                payload, ideal = ours.encode(prior, values), ideal_bytes(prior, steps)
                back, payloads = ours.decode(prior, payload, plane), payloads + 1
                if payload != encode(prior, steps):
                    wrong.append(f"{what}: other bytes than Python's")
                if back is None or not numpy.array_equal(back, prior.values(steps)) or not numpy.array_equal(decode(prior, payload, plane), steps):
                    wrong.append(f"{what}: other values")
                if len(payload) > 1.01 * ideal + 8:
                    wrong.append(f"{what}: {len(payload)} bytes for {ideal:.1f}")
                if ideal > 1000:
                    worst = max(worst, len(payload) / ideal - 1)
                if theirs and values.size > 1 and payload[:8] != b"\xff" * 8:
                    columns, with_theirs = max(map(len, prior.rows)), with_theirs + 1
                    tables = [row + [0] * (columns - len(row)) for row in prior.rows]
                    if payload != theirs.encode_with_indexes(steps.flatten().tolist(), numpy.repeat(numpy.arange(channels), plane).tolist(), tables, [len(r) for r in prior.rows], prior.offset):
                        wrong.append(f"{what}: other bytes than CompressAI's")
    print("\n".join(wrong + [f"{payloads} payloads compared byte for byte, {with_theirs} with CompressAI's as well; at most {100 * worst:.3f} % above the ideal from 1000 bytes on, {len(wrong)} differ"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
