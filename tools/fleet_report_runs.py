# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""What splitdsl-sim found, from the JSON of many scenarios with a [sweep]: the runs of a policy at a point, and what it takes at an accuracy.

    pool = Pool()
    pool.add("intervals_0.8.json"), pool.add("intervals_0.81.json")
    pool.at("fleet", Point("cortex_m33_64mhz", "1M", 4, 7.5, 0.0), 0.8).ms
"""
import json
import math
import pathlib
import re
from collections import defaultdict, namedtuple

LONGEST = 64 << 20
LOCAL = ("branchynet", "shallow_deep", "ensemble", "exits of fleet, entropy", "exits of fleet, top-1", "all_edge")     # they send nothing
Point = namedtuple("Point", "device phy packets interval loss")
Found = namedtuple("Found", "ms mj accuracy name")


class Refused(Exception):
    pass


def read_text(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except ValueError as problem:
        raise Refused(f"expected UTF-8 text in {path}, found an error: {problem}") from None


def read_json(path):
    path = pathlib.Path(path)
    if not path.is_file() or not 0 < path.stat().st_size <= LONGEST:
        raise Refused(f"expected a file of 1 byte to 64 MiB, found none: {path}")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as problem:
        raise Refused(f"expected JSON in {path}, found an error: {problem}") from None
    if not isinstance(document, dict):
        raise Refused(f"expected a JSON object in {path}, found another value")
    return document


def number(row, key, where, low=0.0, high=math.inf):
    value = row.get(key) if isinstance(row, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise Refused(f'expected a number of {low:g} to {high:g} as "{key}" of {where}, found {value!r}')
    return float(value)


def point_of(entry, where):
    device, ble = (entry.get(key) for key in ("device", "ble"))
    if not isinstance(device, str) or not isinstance(ble, str):
        raise Refused(f'expected "device" and "ble" as text in {where}, found another value')
    terms = dict(term.split("=", 1) for term in ble.split(",") if "=" in term)
    try:
        return Point(device, terms["phy"], int(terms["packets"]), float(terms["interval"]), float(terms.get("loss", 0)))
    except (KeyError, ValueError):
        raise Refused(f'expected phy, packets and interval in "ble" of {where}, found {ble!r}') from None


class Pool:
    """Every run of every file: by policy and point, by policy and device where nothing is sent."""

    def __init__(self):
        self.runs, self.points, self.about, self.answers = defaultdict(list), {}, {}, {}
        self.unanswered = self.counted = 0

    def add(self, path):
        document = read_json(path)
        about = document.get("scenario")
        if document.get("label") != "simulated" or not isinstance(about, dict) or not isinstance(document.get("sweep"), list):
            raise Refused(f'expected what splitdsl-sim --json writes of a scenario with a [sweep] in {path}, found no "scenario", "sweep" and "label": "simulated"')
        if self.about and any(self.about.get(k) != about.get(k) for k in ("answers", "pictures", "cloud_ms", "currents", "deadline_ms", "packet_overhead", "cap")):
            raise Refused(f"expected runs of the same answers, cloud and radio, found others in {path}")
        self.about = about
        for i, entry in enumerate(document["sweep"]):
            where = f"point {i} of {path}"
            if not isinstance(entry, dict):
                raise Refused(f"expected an object as {where}, found another value")
            point = point_of(entry, where)
            if "refused" in entry:
                continue
            policies = entry.get("policies")
            if not isinstance(policies, dict) or not policies:
                raise Refused(f'expected "policies" of {where}, found none')
            self.points[point] = True
            for name, row in policies.items():
                at = f"{name}, {where}"
                found = Found(number(row, "mean_latency_ms", at), number(row, "energy_mj", at), number(row, "accuracy", at, 0, 1), name)
                self.unanswered += int(number(row, "unanswered", at))
                self.counted += int(number(row, "frames", at)) if "frames" in row else 0
                self.count(about, name, point, row, at)
                family = re.sub(r" \d+ ms$", "", name)
                self.runs[family, point.device if family in LOCAL else point].append(found)

    def count(self, about, name, point, row, where):
        """Answers by layer of a run with one threshold: those for a stream at the layer it is of, those of the device's exits at theirs."""
        if not {"threshold", "answered_by_stream", "answered_by_exit", "answered_by_size", "network"} <= row.keys():
            return
        network = about.get("networks", {}).get(row["network"]) if isinstance(about.get("networks"), dict) else None
        layers = defaultdict(int)
        for key, places in (("answered_by_stream", "streams_behind"), ("answered_by_exit", "exits_behind")):
            counts, names = row[key], network.get(places) if isinstance(network, dict) else None
            if not isinstance(counts, list) or not isinstance(names, list) or len(counts) > len(names) or not all(isinstance(n, int) and n >= 0 for n in counts):
                raise Refused(f'expected "{key}" of {where} to fit its network, found other numbers')
            for n, layer in zip(counts, names):
                layers[str(layer)] += n
        self.answers[name, point, number(row, "threshold", where)] = {
            "layers": dict(layers), "frames": int(number(row, "frames", where)), "accuracy": number(row, "accuracy", where, 0, 1),
            "streams": sum(row["answered_by_stream"]) > 0, "sizes": [n for n in row["answered_by_size"] if isinstance(n, int)]}

    def of(self, family, point):
        return self.runs.get((family, point.device if family in LOCAL else point), [])

    def at(self, family, point, accuracy):
        """Latency and energy of a policy at an accuracy; none if it does not reach it."""
        found = interpolated(self.of(family, point), accuracy)
        return found._replace(name=family) if found else None

    def best(self, families, point, accuracy, by="ms"):
        found = [f for f in (self.at(family, point, accuracy) for family in families) if f]
        return min(found, key=lambda f: getattr(f, by)) if found else None

    def along(self, **fixed):
        """The points with these values, in order of their intervals and losses."""
        return sorted((p for p in self.points if all(getattr(p, k) == v for k, v in fixed.items())), key=lambda p: (p.interval, p.loss, p.phy, p.packets, p.device))


def interpolated(runs, accuracy):
    front = []                                     # from accurate to fast
    for run in sorted(runs, key=lambda r: (-r.accuracy, r.ms)):
        if not front or run.ms < front[-1].ms:
            front.append(run)
    enough = [r for r in front if r.accuracy >= accuracy]
    if not enough:
        return None
    above, below = enough[-1], next((r for r in front if r.accuracy < accuracy), None)
    if below is None or above.accuracy == accuracy:
        return above
    share = (accuracy - below.accuracy) / (above.accuracy - below.accuracy)
    return Found(below.ms + share * (above.ms - below.ms), below.mj + share * (above.mj - below.mj), accuracy, above.name)
