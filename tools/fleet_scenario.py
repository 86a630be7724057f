#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""A scenario for splitdsl-sim from what train_fleet.py recorded of another network: its layers, exits, streams, inputs and baselines.

    fleet_scenario.py --work out/fleet_resnet20 --base examples/sim/cifar_recorded.toml --into out/fleet_resnet20/recorded.toml

Device, radio, cloud, calibration, policies and sweep are the base scenario's; every [[network]] is written anew from WORK/summary.json. Multiplications are
counted in PyTorch; bytes of a stream are the means of the exact form with Rice codes over WORK/stream*.f32, by bench_dynamic_pool; those of JPEG files are of the
test pictures. Encoding is taken to cost nothing, which favours whoever sends inputs.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fleet_report import replaced
from fleet_report_runs import Refused, read_json, read_text

RECORDED = {"network": str, "layers": list, "last": int, "exits": list, "exit_layers": list, "cloud": list, "streams": list, "members": list, "partition": dict, "data": dict}
QUALITIES = ("jpeg25", "jpeg75")


def summary_of(work):
    path = work / "summary.json"
    found = read_json(path)
    for key, kind in RECORDED.items():
        if not isinstance(found.get(key), kind):
            raise Refused(f'expected "{key}" in {path}, which train_fleet.py record writes behind fleet, whole, ensemble and partition, found {"another value" if key in found else "none"}')
    return found


def stream_bytes(stream, work, bench):
    """Mean bytes of each size, those before it included."""
    features, sizes = work / stream["file"], stream["sizes"]
    if not features.is_file():
        raise Refused(f"expected the stream's values in {features}, found no file")
    asked = {"features": features, "channels": stream["channels"], "side": stream["side"], "stride": stream["side"] // 2, "smallest": sizes[0], "largest": sizes[-1], "step": 1}
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "measured.json"
        ran = subprocess.run([bench, "--no-speed", "--json", str(out), *(str(word) for n, v in asked.items() for word in (f"--{n}", v))], text=True, capture_output=True, check=False)
        if ran.returncode:
            raise Refused(f"expected bench_dynamic_pool to measure {features}, found: {ran.stderr.strip()}")
        measured = {level["size"]: level["lifted_rice"] for level in read_json(out)["levels"]}
    missing = [size for size in sizes if size not in measured]
    if missing:
        raise Refused(f"expected the size {missing[0]} of {features}, bench_dynamic_pool measured {sorted(measured)}")
    return [round(measured[size]) for size in sizes]


def table(kind, **values):
    return f"[[{kind}]]\n" + "".join(f"{k} = {v if isinstance(v, str) and v.startswith('[{') else json.dumps(v)}\n" for k, v in values.items()) + "\n"


def networks(found, work, bench):
    """Every [[network]] of the scenario, as cifar_recorded.toml has them for ResNet-14."""
    layers, whole = list(found["layers"]), sum(found["layers"]) + found["last"]
    layers[-1] += found["last"]
    inputs = {**{q: found["data"][f"test_{q}_mean_bytes"] for q in QUALITIES}, "raw": 3 * 32 * 32}
    name, cut = found["network"], found["partition"]
    made = table("network", name=name)
    for k, macs in enumerate(layers, 1):
        stage = {"name": f"layer{k}", "macs": macs}
        if k in found["exit_layers"]:
            stage |= {"exit": True, "exit_macs": found["exits"][found["exit_layers"].index(k)]}
        if k <= len(found["streams"]):
            stage |= {"stream": stream_bytes(found["streams"][k - 1], work, bench), "cloud_macs": found["cloud"][k - 1]}
        made += table("network.stage", **stage)
    made += "".join(table("network.input", name=n, bytes=round(b)) for n, b in inputs.items())
    for policy, payload in (("neurosurgeon", [cut["channels"] * size * size for size in cut["sizes"]]), ("clio", [width * cut["side"] ** 2 for width in cut["widths"]])):
        made += table("network", name=policy, like=name, payload=f'[{{ stage = "layer{cut["layer"]}", sizes = {payload} }}]')
    made += table("network", name="ensemble")
    for i, macs in enumerate([*found["members"], whole], 1):
        made += table("network.stage", name=f"member{i}", macs=macs, exit=True, exit_macs=0)
    made += table("network", name="cascade") + table("network.stage", name="small", macs=found["members"][0], exit=True, exit_macs=0) + table("network.stage", name="whole", macs=whole)
    return made + "".join(table("network.input", name=n, bytes=round(b), cloud_macs=whole) for n, b in inputs.items())


def scenario(found, base, into, work, bench, target_ms):
    text = read_text(base)
    parts = re.match(r"(.*?)(?=^(?:#[^\n]*\n)*\[\[network\]\])(.*?)(?=^\[\[policy\]\])(.*)\Z", text, re.S | re.M)
    if not parts:
        raise Refused(f"expected a scenario with [[network]] before [[policy]] in {base}, found another file")
    settings, _, policies = parts.groups()
    settings = settings[settings.index("name = "):] if "name = " in settings else settings
    profiles = re.search(r'(?m)^profiles *= *"([^"]*)"', settings)
    if not profiles:
        raise Refused(f'expected "profiles" in {base}, found none')
    settings = replaced(settings, "profiles", json.dumps(os.path.relpath(base.parent / profiles.group(1), into.parent)), base)
    settings = replaced(settings, "file", json.dumps(os.path.relpath(work / "answers.safetensors", into.parent)), base)
    settings = re.sub(r'(?m)\Aname = .*$', f'name = "{found["network"]} with exits on CIFAR-10, recorded logits"', settings)
    policies = re.sub(r'(?m)^cut *= *"[^"]*"', f'cut = "layer{found["partition"]["layer"]}"', policies)
    first = re.search(r'(?m)^network *= *"([^"]*)"', policies)
    if first:
        policies = policies.replace(f'network = "{first.group(1)}"', f'network = "{found["network"]}"')
    if target_ms:
        policies = replaced(policies, "target_ms", f"{target_ms:g}", base)
    header = "# SPDX-FileCopyrightText: The splitdsl authors\n# SPDX-License-Identifier: BSD-3-Clause\n#\n# Made by tools/fleet_scenario.py from what tools/train_fleet.py recorded. Times, bytes and energy are simulated.\n"
    return header + settings + networks(found, work, bench) + policies


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog="docs/fleet.md has the exact commands.")
    parser.add_argument("--work", required=True, help="the folder of train_fleet.py record: summary.json, answers.safetensors, stream*.f32")
    parser.add_argument("--base", default="examples/sim/cifar_recorded.toml", help="whose device, radio, policies and sweep the scenario has (%(default)s)")
    parser.add_argument("--bench", default="build/release/benchmarks/bench_dynamic_pool", help="(%(default)s)")
    parser.add_argument("--into", required=True, help="the scenario to write")
    parser.add_argument("--target-ms", type=float, default=0, help="NeuroSurgeon's target (the base's)")
    options = parser.parse_args()
    work, base, into = pathlib.Path(options.work), pathlib.Path(options.base), pathlib.Path(options.into)
    try:
        if not 0 <= options.target_ms <= 1e6:
            raise Refused(f"expected --target-ms from 0 to 1000000, found {options.target_ms}")
        if not base.is_file():
            raise Refused(f"expected a scenario, found no file {base}")
        if not pathlib.Path(options.bench).is_file():
            raise Refused(f"expected the program bench_dynamic_pool (--bench), found no file {options.bench}")
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_text(scenario(summary_of(work), base, into, work, options.bench, options.target_ms), encoding="utf-8")
    except (Refused, OSError, KeyError, IndexError, TypeError) as problem:
        print(f"fleet_scenario.py: {problem}", file=sys.stderr)
        return 2
    print(into)
    return 0


if __name__ == "__main__":
    sys.exit(main())
