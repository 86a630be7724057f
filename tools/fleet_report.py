# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""FLEET's figures and tables from recorded logits: scenarios for splitdsl-sim, and a page of what it found beside the paper's numbers. All is simulated.

    fleet_report.py scenarios --base examples/sim/cifar_recorded.toml --into out/fleet/report
    for s in out/fleet/report/*.toml; do splitdsl-sim "$s" --quiet --json "${s%.toml}.json"; done
    fleet_report.py page --summary out/fleet/summary.json --html report.html --markdown report.md out/fleet/report/*.json

Policies are compared at equal accuracy (--accuracy, 0.8): each is run with thresholds for several accuracies, of these runs those that another one of the same
policy beats in both are dropped, and latency and energy are interpolated between the two runs around the accuracy on the test pictures: what drawing one of the
two for each picture would give. A policy that is always more accurate counts with its fastest run; one that is never as accurate does not count. Runs from different files are put together by device and radio;
policies that send nothing by the device alone. A comparison with a group (local exits, partition, JPEG) is one with the best of it at each point.
"""
import argparse
import json
import math
import os
import pathlib
import re
import sys
from collections import defaultdict

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fleet_report_page import Page
from fleet_report_runs import LOCAL, Pool, Refused, read_json, read_text

GROUPS = {"local exits": LOCAL, "partition": ("neurosurgeon", "clio"), "JPEG": ("jpeg25", "jpeg75")}
BESIDE = {"raw": ("raw",), "cascade": ("cascade",)}          # not in the paper's columns
M33, A77, GAP8 = "cortex_m33_64mhz", "cortex_a77_200mhz", "gap8_175mhz"
INTERVALS = (7.5, 10, 15, 17.5, 20, 25, 30, 35, 40, 45, 50, 60, 66.25)
FEWER = (7.5, 15, 20, 25, 30, 45, 60)
SENDING = ("fleet", "neurosurgeon", "clio", "jpeg25", "jpeg75")
SHOWN_1A = ("fleet", "shallow_deep", "exits of fleet, top-1")
TARGETS = tuple(range(55, 155, 5))                         # NeuroSurgeon's, in percent of the base scenario's: the size it sends follows from them

# FLEET (MobiCom 2023), tables 3 and 4 and section 4.3. Packets count acknowledgements there: half of them are data.
PAPER_1A = 0.7                                              # the confidence from which its figure 1a takes an answer
PAPER_RANGES = {M33: ("7.5 - 66, 1 - 2.3x", "18 - 64.5, 1 - 1.2x", "18 - 100, 1 - 1.7x", "18 - 64.5, 1 - 1.2x"),
                A77: ("7.5 - 64.5, 1 - 4.7x", "7.5 - 4000, 2.3 - 3.2x", "7.5 - 4000, 1.8 - 3.4x", "7.5 - 64.5, 1 - 3.1x"),
                GAP8: ("7.5 - 46.5, 1 - 2.7x", "7.5 - 4000, 2.1 - 3.1x", "7.5 - 4000, 1.5 - 3.4x", "7.5 - 46.5, 1 - 2.6x")}
PAPER_ROWS = {("1M", 1): ("2 packets", "7.5 - 25.5, 1 - 3.2x", "7.5 - 4000, 3.4 - 4.3x", "7.5 - 4000, 5.2 - 5.5x", "7.5 - 75 as printed, 1 - 3.2x"),
              ("1M", 2): ("4 packets", "7.5 - 45, 1 - 4.6x", "7.5 - 4000, 3.1 - 4.0x", "7.5 - 4000, 3.6 - 4.9x", "7.5 - 45, 1 - 4.0x"),
              ("1M", 3): ("6 packets", "7.5 - 63, 1 - 4.7x", "7.5 - 4000, 3.2 - 3.9x", "7.5 - 4000, 2.5 - 4.7x", "7.5 - 63, 1 - 3.9x"),
              ("1M", 4): ("8 packets; 1 Mbps", "7.5 - 64.5, 1 - 4.7x; 7.5 - 63, 1 - 4.5x", "7.5 - 4000, 2.3 - 3.2x; 2.3 - 3.9x", "7.5 - 4000, 1.8 - 3.4x; 2.7 - 4.0x",
                          "7.5 - 64.5, 1 - 3.1x; 7.5 - 63, 1 - 3.9x"),
              ("125k", 4): ("125 kbps", "never", "7.5 - 4000, 3.5 - 3.9x", "7.5 - 4000, 5.8 - 6.1x", "never"),
              ("500k", 4): ("500 kbps", "7.5 - 48, 1 - 3.2x", "7.5 - 4000, 2.7 - 4.1x", "7.5 - 4000, 4.2 - 5.5x", "7.5 - 48, 1 - 3.2x"),
              ("2M", 4): ("2 Mbps", "7.5 - 63, 1 - 4.7x", "7.5 - 4000, 2.3 - 3.2x", "7.5 - 4000, 1.8 - 3.4x", "7.5 - 63, 1 - 3.1x")}
PAPER_LOSS = {("500k", 2, 25): "18 %", ("500k", 4, 25): "40 %", ("1M", 4, 25): "60 %", ("1M", 4, 10): "-"}
PAPER_ENERGY = {M33: ("1.57 - 1.08", "4.04", "4.15 - 1.25", "7.01 - 1.25"), A77: ("14.15 - 8.11", "35.81", "36.68 - 13.44", "39.65 - 6.80"),
                GAP8: ("7.29 - 1.04", "2.26", "26.05 - 1.88", "41.20 - 1.68")}


# ---- scenarios --------------------------------------------------------------------------------------------------------------------------------------


def experiments(middle=0.8):
    """{file name: (accuracy, sweep, policies or all, changes of the radio[, thresholds to try])}, around the accuracy at which policies are compared."""
    made = {}

    def around(*points):
        return [round(middle + p / 100, 4) for p in points]

    for accuracy in around(-8, -5, -2, -1, 0, 0.5, 1):
        made[f"accuracy_{accuracy}"] = accuracy, {"device": (M33, A77, GAP8), "interval_ms": (10,)}, None, {}
    for accuracy in around(0, 0.5, 1):
        made[f"intervals_{accuracy}"] = accuracy, {"device": (M33, A77), "interval_ms": INTERVALS}, (*SENDING, "raw", "cascade"), {}
        made[f"packets_{accuracy}"] = accuracy, {"packets": (1, 2, 3), "interval_ms": FEWER}, SENDING, {}
        made[f"phy_{accuracy}"] = accuracy, {"phy": ("500k", "2M"), "interval_ms": FEWER}, SENDING, {}
        made[f"energy_{accuracy}"] = accuracy, {"device": (A77, GAP8), "phy": ("500k", "1M", "2M"), "interval_ms": (30,)}, SENDING, {}
        made[f"slow_{accuracy}"] = accuracy, {"device": (M33, A77, GAP8), "phy": ("125k",), "interval_ms": (7.5, 30)}, SENDING, {"bytes": "27"}
        for phy, packets, interval in PAPER_LOSS:
            sweep = {"phy": (phy,), "packets": (packets,), "loss": tuple(i / 10 for i in range(10)), "interval_ms": (interval,)}
            made[f"loss_{phy}_{packets}_{interval}_{accuracy}"] = accuracy, sweep, SENDING, {}
    clocks = tuple(f"cortex_a77_{mhz}mhz" for mhz in range(300, 1600, 100))
    for accuracy in around(0, 0.5, 1):
        made[f"clocks_{accuracy}"] = accuracy, {"device": clocks, "interval_ms": (7.5, 15, 30)}, SENDING, {}
        made[f"clocks_alone_{accuracy}"] = accuracy, {"device": clocks, "interval_ms": (7.5,)}, ("shallow_deep", "branchynet"), {}
        made[f"gap8_{accuracy}"] = accuracy, {"device": (GAP8,), "interval_ms": INTERVALS}, SENDING, {}
        made[f"a77_packets_{accuracy}"] = accuracy, {"device": (A77,), "packets": (1, 2, 3), "interval_ms": FEWER}, SENDING, {}
        made[f"a77_phy_{accuracy}"] = accuracy, {"device": (A77,), "phy": ("500k", "2M"), "interval_ms": FEWER}, SENDING, {}
    made[f"exits_{PAPER_1A}"] = middle, {"device": (M33, A77), "interval_ms": (10,)}, SHOWN_1A, {}, (PAPER_1A,)
    for accuracy in around(-6, -4):                          # for a page with --accuracy 0.05 lower
        made[f"lower_{accuracy}"] = accuracy, {"interval_ms": INTERVALS}, SENDING, {}
    return made


def replaced(block, key, value, where):
    changed, count = re.subn(rf'(?m)^{key} *= *("[^"]*"|[^#\n]*?)(?= *(#|$))', lambda _: f"{key} = {value}", block)
    if count != 1:
        raise Refused(f'expected one "{key}" in {where}, found {count}')
    return changed


def derived(base, into, accuracy, sweep, policies, radio, thresholds=()):
    """The base scenario's text with another accuracy, sweep, choice of policies, radio and thresholds to try, and paths that hold from the folder `into`."""
    def moved(block, key):
        found = re.search(rf'(?m)^{key} *= *"([^"]*)"', block)
        path = found.group(1) if found else ""
        return replaced(block, key, json.dumps(os.path.relpath(base.parent / path, into)), base)

    kept, seen = [], set()
    for block in re.split(r"(?m)^(?=\[)", read_text(base)):
        head = block.split("\n", 1)[0].split("#")[0].strip()
        seen.add(head)
        if head == "[device]":
            block = moved(block, "profiles")
        elif head == "[answers]":
            block = moved(block, "file")
        elif head == "[calibration]":
            block = replaced(block, "accuracy", accuracy, base)
            if thresholds:
                block = replaced(block, "thresholds", list(thresholds), base)
        elif head == "[radio]" and radio:
            ble = re.search(r'(?m)^ble *= *"([^"]*)"', block)
            terms = dict(term.split("=", 1) for term in (ble.group(1) if ble else "").split(",") if "=" in term)
            block = replaced(block, "ble", json.dumps(",".join(f"{k}={v}" for k, v in {**terms, **radio}.items())), base)
        elif head == "[[policy]]":
            name = re.search(r'(?m)^name *= *"([^"]*)"', block)
            name = name.group(1) if name else ""
            if policies and name not in policies:
                continue
            if name == "neurosurgeon":
                target = re.search(r"(?m)^target_ms *= *([0-9.]+)", block)
                if not target:
                    raise Refused(f'expected "target_ms" of neurosurgeon in {base}, found none')
                targets = [f"{float(target.group(1)) * share / 100:g}" for share in TARGETS]
                block = block.rstrip() + "\n\n" + "".join(
                    replaced(replaced(block, "name", f'"neurosurgeon {ms} ms"\nkind = "neurosurgeon"', base), "target_ms", ms, base).rstrip() + "\n\n" for ms in targets)
        elif head == "[sweep]":
            continue
        kept.append(block)
    missing = [head for head in ("[device]", "[answers]", "[calibration]", "[radio]", "[[policy]]") if head not in seen]
    if missing:
        raise Refused(f"expected {missing[0]} in {base}, found none")
    lines = [f"{key} = {json.dumps(list(values))}" for key, values in sweep.items()]
    return "".join(kept).rstrip() + "\n\n[sweep]\n" + "\n".join(lines) + "\n"


def write_scenarios(options):
    base, into = pathlib.Path(options.base), pathlib.Path(options.into)
    if not base.is_file():
        raise Refused(f"expected a scenario, found no file {base}")
    into.mkdir(parents=True, exist_ok=True)
    made = experiments(options.accuracy)
    for name, terms in made.items():
        (into / f"{name}.toml").write_text(derived(base, into, *terms), encoding="utf-8")
    print(f"{into}: {len(made)} scenarios")


# ---- comparisons ------------------------------------------------------------------------------------------------------------------------------------


def ranges(values, holds):
    """The runs of neighbouring values for which something holds, as text: "7.5 - 30"."""
    parts, current = [], []
    for value, good in [*zip(values, holds), (None, False)]:
        if good:
            current.append(value)
        elif current:
            parts.append(f"{current[0]:g} - {current[-1]:g}" if len(current) > 1 else f"{current[0]:g}")
            current = []
    return " and ".join(parts)


def ahead(pool, points, families, accuracy):
    """Where FLEET is faster than the best of these, and by how much: "7.5 - 30, 1.01 - 1.17x"."""
    xs, gains, lacking = [], [], 0
    for p in points:
        fleet, other = pool.at("fleet", p, accuracy), pool.best(families, p, accuracy)
        if not any(pool.of(f, p) for f in families):
            continue
        xs.append(p.interval)
        lacking += other is None
        gains.append(0.0 if fleet is None else math.inf if other is None else other.ms / fleet.ms)
    if not xs:
        return "not run"
    good = [g for g in gains if 1 < g < math.inf]
    if not any(g > 1 for g in gains):
        return f"never (at best {max(gains):.2f}x)" if max(gains) > 0 else "never"
    text = ranges(xs, [g > 1 for g in gains])
    if good:
        text += f", {min(good):.2f} - {max(good):.2f}x"
    return text + (f"; none of them as accurate at {lacking} of {len(xs)}" if lacking else "")


def columns():
    """What FLEET is compared with: the paper's groups, the first two of them together, all of them together."""
    together = GROUPS["local exits"] + GROUPS["partition"]
    return {**GROUPS, "exits and partition": together, "all three": together + GROUPS["JPEG"]}


# ---- the page -----------------------------------------------------------------------------------------------------------------------------------------


def percent(share):
    return f"{100 * share:.1f}"


def shares(value, depth):
    """Whether this is lists in lists so deep of numbers from 0 to 1; the deepest may have gaps."""
    if depth == 0:
        return isinstance(value, float | int) and 0 <= value <= 1
    return isinstance(value, list) and len(value) > 0 and all(shares(v, depth - 1) or (v is None and depth == 1) for v in value)


def known(row):
    """What was recorded of a row, by growing size: a stream of a smaller map has fewer sizes."""
    return [rate for rate in row if rate is not None]


def depth_and_fusion(page, summary, path):
    """Figure 1: what an exit knows, on the device and in the cloud."""
    rates = summary.get("accuracy")
    if not isinstance(rates, dict):
        raise Refused(f'expected "accuracy" in {path}, found none')

    def part(name, depth):
        found = rates.get(name, {}).get("test") if isinstance(rates.get(name, {}), dict) else None
        if not shares(found, depth):
            raise Refused(f'expected the "test" accuracies of {name} in {path}, each of 0 to 1, found {"none" if found is None else "others"}')
        return found
    local, cloud, trunk, layers, sizes = part("fleet.local", 1), part("fleet.cloud", 3), part("fleet.trunk", 0), summary.get("exit_layers"), summary.get("sizes")
    fits = isinstance(layers, list) and isinstance(sizes, list) and len(layers) == len(local) and all(isinstance(n, int) and n > 0 for n in [*layers, *sizes])
    if not fits or any(len(k) != len(sizes) + 1 or any(len(row) != len(sizes) for row in k) for k in cloud) \
            or not all(known(row) for i, k in enumerate(cloud) for row in (k if i else k[:1])):
        raise Refused(f'expected "exit_layers" and "sizes" of {path} to fit its accuracies, found others')
    page.heading("Figures 1b and 1c: exits on the device and in the cloud, by depth and by fusion")
    page.text("Accuracy on the test pictures in percent, measured with PyTorch; not simulated. The cloud has 4 channels of 8 x 8 values of a layer (alone), with those of the layer "
              "before (fused), and runs the rest of a network of its own on them; an exit on the device has all channels, averaged to 4 x 4 or 2 x 2, and one dense layer.")
    rows = []
    for i, layer in enumerate(layers):
        stream = cloud[layer - 1] if layer <= len(cloud) else None
        alone, fused = (known(stream[0])[-1], known(stream[-1])[-1] if layer > 1 else None) if stream else (None, None)
        rows.append((layer, *("-" if a is None else percent(a) for a in (local[i], alone, fused)), f"{100 * ((fused or alone) - local[i]):+.1f}" if stream else "-"))
    page.table(("behind layer", "device's exit", "cloud, alone", "cloud, fused", "cloud - device, points"), rows)
    page.text(f"The whole network: {percent(trunk)}. The paper (ImageNet-100, figure 1b, exits of 1 and of 3 layers): +15 for earlier and +7 for later exits; its text has no number for fusion.")
    lines = {"exit on the device": [(n, 100 * a) for n, a in zip(layers, local)], "cloud, alone": [(k + 1, 100 * known(c[0])[-1]) for k, c in enumerate(cloud)],
             "cloud, fused": [(k + 1, 100 * known(c[-1])[-1]) for k, c in enumerate(cloud) if k]}
    own = {n: part(f"{n}.local", 1) for n in ("branchynet", "shallow_deep") if f"{n}.local" in rates}
    if any(len(found) != len(layers) for found in own.values()):
        raise Refused(f"expected {len(layers)} exits of every baseline in {path}, found others")
    lines.update({f"{n}'s exit": [(layer, 100 * a) for layer, a in zip(layers, found)] for n, found in own.items()})
    page.chart("Accuracy of exits on CIFAR-10 (measured)", "behind layer", "accuracy, percent", lines, from_zero=False)
    middle = max(i for i in range(min(3, len(cloud))) if i == 0 or all(None not in row for row in cloud[i]))
    page.text(f"Fusion by size, stream behind layer {middle + 1}: rows its own size, columns the size of the stream before (0: nothing came).")
    page.table(("size", *map(str, (0, *sizes))), [(f"{size} x {size}", *("-" if before[i] is None else percent(before[i]) for before in cloud[middle])) for i, size in enumerate(sizes)])
    if own:
        page.text("Exits of the baselines' own trainings:")
        page.table(("behind layer", *own), [(layer, *(percent(found[i]) for found in own.values())) for i, layer in enumerate(layers)])


def cell(fleet, other):
    if other is None:
        return "not as accurate"
    return f"{other.ms:.1f}" + (f" ({other.ms / fleet.ms:.2f}x, {other.name})" if fleet else f" ({other.name})")


def shares_by_layer(page, pool):
    """Figure 1a: behind which layer the answers come, at one threshold for all."""
    found = [(name, point, row) for (name, point, threshold), row in sorted(pool.answers.items()) if threshold == PAPER_1A and name in SHOWN_1A and row["frames"]
             and (point.phy, point.packets, point.interval, point.loss) == ("1M", 4, 10.0, 0.0)]
    if not found:
        return
    page.heading("Figure 1a: how early pictures are answered")
    page.text(f"Share of the pictures in percent that are answered behind a layer or one before it, from a confidence of {PAPER_1A} on (as in the paper's figure 1a, which is drawn for ImageNet-100 "
              "and prints no numbers); 1M, 4 data packets, airtime cap; simulated. FLEET's answers are counted at the layer whose stream the cloud answered; they come while later layers run. "
              "The rest is answered by the whole network on the device. \"Exits of fleet\" are the device's exits that were trained with FLEET's.")
    layers = sorted({layer for _, _, row in found for layer in row["layers"]}, key=lambda name: (len(name), name))
    rows, lines = [], {}
    for name, point, row in found:
        where = f"{name}, {point.device}, {point.interval:g} ms" if row["streams"] else f"{name} (any radio)"
        if where in lines:
            continue
        total, cumulative = 0, []
        for layer in layers:
            total += row["layers"].get(layer, 0)
            cumulative.append(100 * total / row["frames"])
        rows.append((where, *(f"{c:.1f}" for c in cumulative), percent(row["accuracy"])))
        lines[where] = list(zip(range(1, len(layers) + 1), cumulative))
    page.table(("policy", *layers, "accuracy"), rows)
    page.chart(f"Pictures answered behind a layer, threshold {PAPER_1A} (simulated)", "layer", "answered, percent", lines)
    sized = [(f"{point.device}, {point.interval:g} ms", row) for name, point, row in found if name == "fleet" and row["sizes"]]
    if sized:
        most = max(len(row["sizes"]) for _, row in sized)
        page.text("What the cloud had of the stream it answered, of its answers in percent (1: the smallest size):")
        page.table(("FLEET", *(str(i + 1) for i in range(most))),
                   [(where, *(f"{100 * n / max(1, sum(row['sizes'])):.1f}" for n in [*row["sizes"], *[0] * (most - len(row["sizes"]))])) for where, row in sized])


def over_intervals(page, pool, accuracy, device):
    points = [p for p in pool.along(device=device, phy="1M", packets=4, loss=0.0)]
    if not points:
        return
    page.heading(f"Latency over the connection interval, {device} (as figures 7 to 9 and table 3)")
    page.text(f"Mean latency in ms at {percent(accuracy)} % on the test pictures, 1M, 4 data packets, airtime cap; simulated. In brackets: how many times FLEET's, and whose it is. "
              "Encoding a JPEG is taken to cost nothing; neurosurgeon may stay on the device.")
    rows, lines = [], defaultdict(list)
    for p in points:
        fleet = pool.at("fleet", p, accuracy)
        others = {name: pool.best(families, p, accuracy) for name, families in {**GROUPS, **BESIDE}.items()}
        rows.append((f"{p.interval:g}", f"{fleet.ms:.1f}" if fleet else "not as accurate", *(cell(fleet, o) for o in others.values())))
        for name, found in {"FLEET": fleet, **others}.items():
            if found:
                lines[name].append((p.interval, found.ms))
    page.table(("interval", "FLEET", *GROUPS, *BESIDE), rows)
    page.chart(f"Mean latency at {percent(accuracy)} %, {device} (simulated)", "connection interval in ms", "ms", lines)
    page.text("Intervals at which FLEET is ahead, and how far:")
    paper = dict(zip((*GROUPS, "all three"), PAPER_RANGES[device]))
    page.table(("", *columns()), [("simulated here", *(ahead(pool, points, families, accuracy) for families in columns().values())),
                                  ("the paper, CIFAR-100" if device == M33 else "the paper, ImageNet-100", *(paper.get(name, "-") for name in columns()))])


def over_accuracy(page, pool, device):
    points = [p for p in pool.along(device=device, phy="1M", packets=4, loss=0.0, interval=10.0)]
    if not points:
        return
    page.heading(f"Accuracy over latency, {device}, 10 ms (as figures 7 to 9)")
    page.text("Accuracy on the test pictures in percent over mean latency in ms, a point for each accuracy that thresholds were chosen for; 1M, 4 data packets; simulated. "
              "The paper (A77 at 200 MHz, ImageNet-100, 88 %) reads about 3 times faster than local exits and 5 times faster than partitions off its curves.")
    families = ("fleet", "branchynet", "shallow_deep", "ensemble", "exits of fleet, top-1", "neurosurgeon", "clio", "jpeg25", "jpeg75", "raw", "cascade")
    lines = {f: sorted({(round(r.ms, 2), round(100 * r.accuracy, 2)) for r in pool.of(f, points[0])}) for f in families}
    page.chart(f"Accuracy over mean latency, {device} (simulated)", "mean latency in ms", "accuracy, percent", {f: v for f, v in lines.items() if len(v) > 1}, from_zero=False)
    page.table(("policy", "ms: percent"), [(f, ", ".join(f"{ms:.1f}: {a:.1f}" for ms, a in v)) for f, v in lines.items() if v])


def rows_of_table_3(page, pool, accuracy):
    rows = []

    def add(label, device, phy, packets, paper):
        points = pool.along(device=device, phy=phy, packets=packets, loss=0.0)
        if not points:
            return
        rows.append((f"{label}, here", *(ahead(pool, points, f, accuracy) for f in columns().values())))
        if paper:
            rows.append((f"{label}, the paper", *paper[:3], "-", paper[3]))
    for device in (M33, A77, GAP8):
        add(f"{device}, 1M, 4", device, "1M", 4, PAPER_RANGES[device])
    for (phy, n), (label, *paper) in PAPER_ROWS.items():
        add(f"{A77}, {phy}, {n} ({label})", A77, phy, n, paper)
    for phy, n in PAPER_ROWS:
        if (phy, n) != ("1M", 4):
            add(f"{M33}, {phy}, {n}", M33, phy, n, None)
    if not rows:
        return
    page.heading("Table 3: every row")
    page.text("Connection intervals in ms at which FLEET is ahead, and how far: here with CIFAR-10 and airtime cap, simulated; in the paper with CIFAR-100 on the M33 and ImageNet-100 on the others, by "
              "count alone. Data packets in one direction: the paper counts acknowledgements as well. Its rows of packets and PHYs are on the A77; the last rows are the same on the M33, where FLEET "
              "is ahead of something here. Intervals that were run: 7.5 to 66.25 ms (13 of them) for the first three rows, 7.5 to 60 (7) for packets and PHYs, 7.5 and 30 for 125k with packets of 27 bytes.")
    page.table(("device, PHY, data packets", *columns()), rows)


def over_loss(page, pool, accuracy):
    kinds = [k for k in PAPER_LOSS if any(p.loss > 0 for p in pool.along(device=M33, phy=k[0], packets=k[1], interval=float(k[2])))]
    if not kinds:
        return
    page.heading("Packet loss, 0 to 90 percent (section 4.3)")
    page.text("M33; simulated. Mean latency in ms at equal accuracy; the exits on the device do not depend on loss.")
    rows, lines, held = [], defaultdict(list), []
    for phy, n, interval in kinds:
        points, kind = pool.along(device=M33, phy=phy, packets=n, interval=float(interval)), f"{phy}, {n}, {interval} ms"
        faster = []
        for p in points:
            fleet = pool.at("fleet", p, accuracy)
            others = {name: pool.best(f, p, accuracy) for name, f in GROUPS.items()}
            rows.append((kind, f"{100 * p.loss:.0f} %", f"{fleet.ms:.1f}" if fleet else "not as accurate", *(cell(fleet, o) for o in others.values())))
            if fleet:
                lines[f"FLEET, {kind}"].append((100 * p.loss, fleet.ms))
            if others["local exits"]:
                lines["local exits"].append((100 * p.loss, others["local exits"].ms))
            faster.append(bool(fleet and others["local exits"] and fleet.ms < others["local exits"].ms))
        held.append((kind, f"{100 * points[faster.index(False) - 1 if False in faster else -1].loss:.0f} %" if faster[0] else "not even without loss",
                     PAPER_LOSS[phy, n, interval]))
    page.table(("PHY, data packets, interval", "loss", "FLEET", *GROUPS), rows)
    page.chart("Mean latency over packet loss, M33 (simulated)", "packets lost, percent", "ms", lines)
    page.text("The most loss at which FLEET is still ahead of exits on the device (steps of 10 here; ImageNet-100 on the A77 in the paper):")
    page.table(("PHY, data packets, interval", "simulated here", "the paper"), held)


def energies(page, pool, accuracy):
    kinds = [(d, phy) for d in (M33, A77, GAP8) for phy in ("125k", "500k", "1M", "2M") if pool.along(device=d, phy=phy, packets=4, interval=30.0, loss=0.0)]
    if not kinds:
        return
    page.heading("Table 4: energy a picture in mJ")
    page.text("30 ms, 4 data packets, nRF52840's currents at 0 dBm; simulated; the baseline that takes least of each group, at equal accuracy. The paper's are ranges over its PHYs from slow "
              "to fast, at an interval it does not give, FLEET's the widest that it prints; the A77 and GAP8 there run ImageNet-100.")
    rows = []
    for device, phy in kinds:
        (p,) = pool.along(device=device, phy=phy, packets=4, interval=30.0, loss=0.0)
        found = [pool.at("fleet", p, accuracy), *(pool.best(f, p, accuracy, "mj") for f in GROUPS.values())]
        rows.append((f"{device}, {phy}", *(f"{f.mj:.3f}" + (f" ({f.name})" if i else "") if f else "not as accurate" for i, f in enumerate(found))))
    rows += [(f"the paper, {d}", *PAPER_ENERGY[d]) for d in dict(kinds)]
    page.table(("device, PHY", "FLEET", *GROUPS), rows)


def clocks(page, pool, accuracy):
    points = [p for p in pool.along(phy="1M", packets=4, interval=7.5, loss=0.0) if p.device.startswith("cortex_a77_")]
    if len(points) < 2:
        return
    page.heading("Figure 10: the A-class core's clock")
    page.text("Latencies at 7.5 ms, the shortest interval; 1M, 4 data packets; simulated. In the paper (ImageNet-100) the gain over the best of all is high at 200 MHz (7.5 to 64.5 ms, 1 to 3.1 times) "
              "and shrinks with the clock.")
    points.sort(key=lambda p: int(re.sub(r"\D", "", p.device.removeprefix("cortex_a77_"))))
    wide = columns()
    page.table(("device", *(f"ahead of {name}" for name in wide)),
               [(p.device, *(ahead(pool, pool.along(device=p.device, phy="1M", packets=4, loss=0.0), f, accuracy) for f in wide.values())) for p in points])
    lines = {name: [(int(re.sub(r"\D", "", p.device.removeprefix("cortex_a77_"))), max(
        (other.ms / own.ms for q in pool.along(device=p.device, phy="1M", packets=4, loss=0.0)
         for own, other in [(pool.at("fleet", q, accuracy), pool.best(f, q, accuracy))] if own and other), default=0)) for p in points] for name, f in wide.items()}
    page.chart("FLEET's largest speed-up at any interval, over the clock (simulated)", "MHz", "times", lines)
    rows = []
    for p in points:
        fleet = pool.at("fleet", p, accuracy)
        rows.append((p.device, f"{fleet.ms:.1f}" if fleet else "not as accurate", *(cell(fleet, pool.best(f, p, accuracy)) for f in GROUPS.values())))
    page.table(("device", "FLEET", *GROUPS), rows)


def table_5(page, pool, accuracy):
    points = pool.along(device=M33, phy="1M", packets=4, loss=0.0)
    if len(points) < 2:
        return
    page.heading("Table 5: what the data allows")
    page.text("A row needs a network trained with exits on the data set, and pictures to record its logits on. Of the paper's data sets none is at hand: CIFAR-10 stands for CIFAR-100. ImageNet-100 and "
              "Tiny-ImageNet cannot be made from 200 pictures of ImageNet without a training set, and with them neither the rows of ResNet34 and InceptionV3, which are on ImageNet-100.")
    here = ahead(pool, points, columns()["all three"], accuracy)
    page.table(("row", "simulated here: intervals, speed-up against all three", "the paper"),
               [("CIFAR-100, M33: here CIFAR-10, ResNet-14", here, "18 - 64.5, 1 - 1.2x"), ("the same, exits and partitions alone", ahead(pool, points, columns()["exits and partition"], accuracy), "-"),
                ("ResNet34, ImageNet-100, A77", "cannot be made: no ImageNet-100", "7.5 - 52.5, 1 - 4.5x"), ("InceptionV3, ImageNet-100, A77", "cannot be made: no ImageNet-100", "7.5 - 49.5, 1 - 4.2x"),
                ("Tiny-ImageNet, MobileNetV3, A77", "cannot be made: no Tiny-ImageNet", "7.5 - 19.5, 1 - 2.3x")])


def write_page(options):
    summary, pool = read_json(options.summary), Pool()
    for path in options.runs:
        pool.add(path)
    if not 0 < options.accuracy < 1:
        raise Refused(f"expected an accuracy between 0 and 1, found {options.accuracy:g}")
    page = Page("FLEET and its baselines from recorded logits: simulated")
    about = pool.about
    page.text("Made by tools/fleet_report.py; docs/fleet.md has the commands, docs/fleet_results.md says what reproduces.")
    page.text(f"Everything but the accuracies of figures 1b and 1c is simulated by splitdsl-sim: {about.get('name')}; {about.get('pictures')} pictures, of which the first "
              f"{about.get('validation_pictures')} choose thresholds and the others are counted; cloud {about.get('cloud_ms')} ms, {about.get('currents')}, cap {about.get('cap')}. "
              f"Policies are compared at {percent(options.accuracy)} % on the counted pictures, by interpolation between runs with thresholds for several accuracies, as if one of the two were drawn for each picture. "
              f"Frames without an answer in all runs: {pool.unanswered} of {pool.counted}.")
    shares_by_layer(page, pool)
    depth_and_fusion(page, summary, options.summary)
    for device in (M33, A77):
        over_intervals(page, pool, options.accuracy, device)
    for device in (M33, A77):
        over_accuracy(page, pool, device)
    rows_of_table_3(page, pool, options.accuracy)
    over_loss(page, pool, options.accuracy)
    clocks(page, pool, options.accuracy)
    energies(page, pool, options.accuracy)
    table_5(page, pool, options.accuracy)
    trained = summary.get("phases")
    if isinstance(trained, dict) and trained:
        page.heading("What was trained")
        page.table(("recipe", "epochs asked", "steps", "seconds"), [(n, *(p.get(k, "-") for k in ("epochs", "steps", "seconds"))) for n, p in trained.items() if isinstance(p, dict)])
    for path, content in ((options.html, page.html()), (options.markdown, page.markdown())):
        if path:
            fresh = pathlib.Path(f"{path}.new")
            fresh.write_text(content, encoding="utf-8")
            fresh.replace(path)
            print(f"{path}: {len(content)} characters")


def accuracy(text):
    value = float(text)
    if not 0.1 <= value <= 0.98:                            # others are tried from 8 points below to 1 above
        raise argparse.ArgumentTypeError(f"expected an accuracy from 0.1 to 0.98, found {text}")
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog="docs/fleet.md has the exact commands.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    s = verbs.add_parser("scenarios", help="write the scenarios behind the page")
    s.add_argument("--base", required=True, help="the scenario they differ from, such as examples/sim/cifar_recorded.toml")
    s.add_argument("--into", required=True, help="the folder for them")
    s.add_argument("--accuracy", type=accuracy, default=0.8, help="that of the page: thresholds are chosen for this one and for others around it (%(default)s)")
    p = verbs.add_parser("page", help="write the page from the simulator's JSON")
    p.add_argument("--summary", required=True, help="what train_fleet.py record wrote beside the answers")
    p.add_argument("--accuracy", type=accuracy, default=0.8, help="at which policies are compared (%(default)s)")
    p.add_argument("--html")
    p.add_argument("--markdown")
    p.add_argument("runs", nargs="+", help="JSON documents of splitdsl-sim")
    options = parser.parse_args()
    try:
        {"scenarios": write_scenarios, "page": write_page}[options.verb](options)
    except (Refused, OSError) as problem:
        print(f"fleet_report.py: {problem}", file=sys.stderr)
        return 2 if isinstance(problem, Refused) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
