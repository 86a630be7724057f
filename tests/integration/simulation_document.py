#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""splitdsl-sim's JSON has what it promises, adds up, and is the same for the same seed and another for another; a sweep's comparison is what its points say.

    simulation_document.py PROGRAM SCENARIO
"""
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

PROMISED = ("accuracy", "mean_latency_ms", "p99_latency_ms", "energy_mj", "bytes_up", "unanswered")
FRAMES = 400


def document(program, scenario, folder, seed):
    path = pathlib.Path(folder) / f"{seed}.json"
    subprocess.run([program, scenario, "--quiet", "--frames", str(FRAMES), "--seed", str(seed), "--json", path], check=True, timeout=240)
    return json.loads(path.read_text(encoding="utf-8"))


def problems_of(doc):
    found = []
    if doc["label"] != "simulated" or not doc["scenario"]["synthetic"] or "cap" not in doc["scenario"]:
        found.append("the document does not say that it is simulated, on synthetic answers, and with which cap")
    points = [("own", doc["policies"])] + [(p["ble"], p["policies"]) for p in doc["sweep"] if "policies" in p]
    for point, policies in points:
        for name, p in policies.items():
            where = f"{point}, {name}"
            missing = [key for key in PROMISED if key not in p]
            if missing:
                found.append(f"{where}: no {missing}")
                continue
            if p["label"] != "simulated" or not 0 <= p["accuracy"] <= 1 or p["unanswered"] != 0 or p["violations"] != 0:
                found.append(f"{where}: {p}")
            if sum(p["answered_by"].values()) != FRAMES:
                found.append(f"{where}: answers of {sum(p['answered_by'].values())} frames, not {FRAMES}")
            in_cloud, by_size = p["answered_by"]["cloud"], sum(p["answered_by_size"])
            if by_size != in_cloud or sum(p["answered_by_stream"]) not in (0, in_cloud) or sum(p["answered_by_exit"]) != p["answered_by"]["exit"]:
                found.append(f"{where}: answers by stream, size or exit do not add up")
            network = doc["scenario"]["networks"][p["network"]]
            if [len(p[k]) for k in ("answered_by_stream", "answered_by_exit", "answered_in_stage")] != [len(network[k]) for k in ("streams_behind", "exits_behind", "stages")]:
                found.append(f"{where}: answers of other streams, exits or stages than the network has")
            if abs(sum(p["energy_parts_mj"].values()) - p["energy_mj"]) > 1e-9 * p["energy_mj"]:
                found.append(f"{where}: parts of the energy do not add up")
            if not p["p50_latency_ms"] <= p["p99_latency_ms"] <= p["max_latency_ms"]:
                found.append(f"{where}: percentiles out of order")
    return found


COMPARISON = {"improved": "fleet_by_benefit", "paper": "fleet", "local": ["branchynet", "shallow_deep"]}


def with_comparison(scenario, folder):
    """The scenario with two more tables: FLEET is ahead of the device's exits or not, whatever its answers are worth. The second is of a policy that is fast, and accurate only where it cannot send."""
    source = pathlib.Path(scenario).resolve()
    text = source.read_text(encoding="utf-8").replace('"../', f'"{source.parent.parent.as_posix()}/')
    path = pathlib.Path(folder) / "compared.toml"
    rash = '[[policy]]\nname = "rash"\nkind = "cascade"\ninput = "jpeg25"\nthreshold = "calibrated"\n\n'
    tables = "".join("\n[[comparison]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in {**COMPARISON, **of}.items()) for of in ({}, {"improved": "rash"}))
    path.write_text(text.replace("[sweep]", rash + "[sweep]") + tables, encoding="utf-8")
    return path


def comparison_problems(doc):
    found = []
    for said in doc["comparisons"]:
        logs, worst, points, missed = [], 0, 0, 0
        for p in (p["policies"] for p in doc["sweep"] if "policies" in p):
            points += 1
            local = [p[name]["mean_latency_ms"] for name in COMPARISON["local"] if p[name]["accuracy_reached"]]
            ours, paper = p[said["improved"]], p[COMPARISON["paper"]]
            if not ours["accuracy_reached"]:
                missed += 1
            elif local:
                worst = max(worst, ours["mean_latency_ms"] / min(local))
                if paper["accuracy_reached"] and paper["mean_latency_ms"] < min(local):
                    logs.append(math.log(paper["mean_latency_ms"] / ours["mean_latency_ms"]))
        mean = math.exp(sum(logs) / len(logs)) if logs else 0
        same = (said["cells"], said["points"], said["missed"]) == (len(logs), points, missed) and abs(said["geometric_mean"] - mean) < 1e-9 and abs(said["worst_against_local"] - worst) < 1e-9
        if not same:
            found.append(f"the comparison says {said}, its points {len(logs)} cells of {points}, {missed} missed, {mean}, {worst}")
        tests_something = 0 < missed < points if said["improved"] == "rash" else 0 < len(logs) < points
        if not tests_something:
            found.append(f"{said['improved']}: {len(logs)} of {points} points are compared, {missed} missed: the scenario tests nothing")
    return found


def answers_problems(program, scenario, folder):
    """Answers of a network with another number of sizes are refused by a sentence that names file, group and both numbers."""
    saved, text = pathlib.Path(folder) / "answers.safetensors", pathlib.Path(scenario).read_text(encoding="utf-8")
    subprocess.run([program, scenario, "--quiet", "--frames", "1", "--save-answers", saved], check=True, timeout=240)
    fewer = pathlib.Path(folder) / "fewer.toml"
    fewer.write_text(re.sub("(?m)^synthetic = .*", f'file = "{saved.as_posix()}"', re.sub(r"(?m)^(stream = \[.*), \d+\]$", r"\1]", text)), encoding="utf-8")
    said = subprocess.run([program, fewer, "--quiet", "--frames", "1"], capture_output=True, text=True, timeout=240)
    wanted = re.compile(r"splitdsl-sim: scenario .*: network (\S+), .*answers.safetensors, group \1: expected answers for (\d+) sizes of a stream, found (\d+)\n")
    m = wanted.fullmatch(said.stderr)
    return [] if said.returncode == 2 and m and int(m[2]) == int(m[3]) - 1 else [f"answers with more sizes: exit status {said.returncode}, {said.stderr!r}"]


def bounds_problems(program, scenario, folder):
    """Values that mean nothing are refused with their place."""
    text, path, found = pathlib.Path(scenario).read_text(encoding="utf-8"), pathlib.Path(folder) / "beyond.toml", []
    for old, new, said in (('threshold = "calibrated"', 'confidence = "entropy"\nthreshold = 1.5', "threshold: expected a number from 0 to 1, found 1.5"),
                           ("accuracy = 0.90", "accuracy = 0.90\nthresholds = [0.5, 1.5]", "calibration.thresholds: expected numbers from 0 to 1, found 1.5"),
                           ('ble = "phy=1M,interval=30,packets=4,bytes=251"', 'kind = "lora"\nlora = "sf=12,bandwidth=0.5"', "lora: expected a bandwidth of 1e3 to 1e9 Hz, found 500")):
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        ran = subprocess.run([program, path, "--quiet"], capture_output=True, text=True, timeout=240)
        if ran.returncode != 2 or said not in ran.stderr or ran.stderr.count("\n") != 1:
            found.append(f"expected a refusal that says \"{said}\", found status {ran.returncode}, {ran.stderr!r}")
    return found


def main():
    program, scenario = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        scenario = with_comparison(scenario, folder)
        refused = answers_problems(program, scenario, folder) + bounds_problems(program, scenario, folder)
        first, again, other = (document(program, scenario, folder, seed) for seed in (1, 1, 2))
    found = refused + problems_of(first) + comparison_problems(first)
    if first != again:
        found.append("the same seed gave another document")
    if first["policies"] == other["policies"]:
        found.append("another seed gave the same numbers")
    if len(first["sweep"]) != 12:
        found.append(f"the sweep has {len(first['sweep'])} points, not 12")
    print("\n".join(found) or f"{len(first['sweep'])} points of a sweep, all complete")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
