#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""The report of FLEET's figures: an invented contest gives the rows it must, what is no simulator's document is refused in one sentence, and scenarios hold.

    fleet_report_test.py
"""
import contextlib
import copy
import html.parser
import io
import json
import pathlib
import re
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import fleet_report  # noqa: E402

FAULTS = []
M33 = "cortex_m33_64mhz"


def check(what, holds):
    if not holds:
        FAULTS.append(what)
        print(f"FAULT: {what}")


def policy(accuracy, ms, mj=1.0):
    return {"accuracy": accuracy, "mean_latency_ms": ms, "energy_mj": mj, "unanswered": 0, "frames": 100}


def point(interval, policies, loss=0.0, phy="1M", packets=4):
    return {"device": M33, "ble": f"phy={phy},interval={interval:g},packets={packets},bytes=251" + (f",loss={loss:g}" if loss else "") + ",cap=airtime", "policies": policies}


def document(*points):
    return {"label": "simulated", "scenario": {"name": "<i>invented & small", "answers": "x", "pictures": 200, "validation_pictures": 100, "cloud_ms": 5, "cap": "airtime"},
            "sweep": list(points)}


# Two choices of thresholds. FLEET at 80 %: half way between its runs. The exits on the device: 100 ms wherever they were run, for they send nothing.
FAST = document(point(7.5, {"fleet": policy(0.79, 80, 1), "shallow_deep": policy(0.80, 100), "jpeg75": policy(0.75, 10), "neurosurgeon": policy(0.78, 90)}),
                point(60, {"fleet": policy(0.79, 140), "neurosurgeon": policy(0.70, 90)}),
                {**point(5, {}), "refused": "too short"},
                *(point(25, {"fleet": policy(0.80, 70 + 200 * loss), "neurosurgeon": policy(0.9, 400)}, loss, "500k", 2) for loss in (0.0, 0.1, 0.2)))
GOOD = document(point(7.5, {"fleet": policy(0.81, 100, 3), "neurosurgeon 300 ms": policy(0.82, 135)}), point(60, {"fleet": policy(0.81, 160)}))
# Answers by layer at 0.7: FLEET's by stream, Shallow-Deep's by exit; a run at another threshold does not count.
COUNTED = {"network": "n", "answered_by_stream": [0, 0], "answered_by_exit": [0, 0], "answered_by_size": []}
EXITS = document(point(10, {"fleet": {**policy(0.81, 90), **COUNTED, "threshold": 0.7, "answered_by_stream": [20, 30], "answered_by_size": [10, 0, 40]},
                            "shallow_deep": {**policy(0.8, 100), **COUNTED, "threshold": 0.7, "answered_by_exit": [5, 40]}}),
                 point(60, {"fleet": {**policy(0.81, 160), **COUNTED, "threshold": 0.6, "answered_by_stream": [99, 0]}}))
EXITS["scenario"]["networks"] = {"n": {"stages": ["layer1", "layer2", "rest"], "streams_behind": ["layer1", "layer2"], "exits_behind": ["layer1", "layer2"]}}
SUMMARY = {"exit_layers": [1, 2], "sizes": [3, 8], "phases": {"fleet": {"epochs": 3, "steps": 7, "seconds": 1}}, "accuracy": {
    "fleet.trunk": {"test": 0.8}, "fleet.local": {"test": [0.4, 0.5]}, "branchynet.local": {"test": [0.3, 0.45]},
    "fleet.cloud": {"test": [[[0.5, 0.55], [None, None], [None, None]], [[0.5, 0.6], [0.55, 0.62], [0.6, 0.65]]]}}}
ROWS = ("| 1 | 40.0 | 55.0 | - | +15.0 |", "| 2 | 50.0 | 60.0 | 65.0 | +15.0 |", "| 8 x 8 | 60.0 | 62.0 | 65.0 |", "| 2 | 45.0 |",
        "| 7.5 | 90.0 | 100.0 (1.11x, shallow_deep) | 112.5 (1.25x, neurosurgeon) | not as accurate | not as accurate | not as accurate |",
        "| 60 | 150.0 | 100.0 (0.67x, shallow_deep) | not as accurate |",
        "| simulated here | 7.5, 1.11 - 1.11x |", "| 500k, 2, 25 ms | 10 % | 90.0 | 100.0 (1.11x, shallow_deep) |", "| 500k, 2, 25 ms | 10 % | 18 % |",
        "| fleet | 3 | 7 | 1 |", "Frames without an answer in all runs: 0 of 1500.")


class Outside(html.parser.HTMLParser):
    """Tags that are open at the end, scripts, and attributes that refer to something else."""

    def __init__(self):
        super().__init__()
        self.open, self.faults = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta",):
            self.open.append(tag)
        self.faults += [f"{tag} {a}" for a, v in attributes if a in ("src", "href", "xlink:href", "style") or a.startswith("on") or ("http" in (v or "") and a != "xmlns")]
        if tag in ("script", "link", "iframe", "img"):
            self.faults.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")


def run(*arguments):
    """(exit status, stdout, stderr)"""
    sys.argv = ["fleet_report.py", *map(str, arguments)]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = fleet_report.main()
    return status, out.getvalue(), err.getvalue()


def changed(doc, change):
    doc = copy.deepcopy(doc)
    change(doc)
    return doc


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)

        def written(name, doc):
            path = folder / name
            path.write_text(doc if isinstance(doc, str) else json.dumps(doc), encoding="utf-8")
            return path

        summary, fast, good = (written(f"{n}.json", d) for n, d in (("summary", SUMMARY), ("fast", FAST), ("good", GOOD)))
        page, plain = folder / "page.html", folder / "page.md"
        status, _, err = run("page", "--summary", summary, "--html", page, "--markdown", plain, fast, good)
        check(f"an invented contest makes a page: {err}", status == 0)
        text = plain.read_text(encoding="utf-8")
        for row in ROWS:
            check(f"the page has no {row!r}", row in text)
        shown = page.read_text(encoding="utf-8")
        outside = Outside()
        outside.feed(shown)
        check(f"the page refers to nothing else and its tags close: {outside.faults[:5]} {outside.open}", not outside.faults and not outside.open)
        check("names are escaped", "&lt;i&gt;invented &amp; small" in shown and "<i>" not in shown)
        check("no coordinate is without a number", not re.search(r"\b(nan|inf)\b", shown) and shown.count("<svg") == 3)
        status, _, err = run("page", "--summary", summary, "--markdown", plain, "--html", page, good, written("exits.json", EXITS))
        text = plain.read_text(encoding="utf-8")
        for row in (f"| fleet, {M33}, 10 ms | 20.0 | 50.0 | 81.0 |", "| shallow_deep (any radio) | 5.0 | 45.0 | 80.0 |", f"| {M33}, 10 ms | 20.0 | 0.0 | 80.0 |"):
            check(f"figure 1a has no {row!r}: {err}", row in text)
        check("another threshold is no part of figure 1a", "99.0" not in text and "Pictures answered behind a layer" in page.read_text(encoding="utf-8"))
        wrong_counts = changed(EXITS, lambda d: d["sweep"][0]["policies"]["fleet"].update(answered_by_stream=[1, 2, 3]))
        status, _, err = run("page", "--summary", summary, "--markdown", plain, written("counts.json", wrong_counts))
        check(f"answers of streams that do not exist are refused: {err}", status == 2 and '"answered_by_stream" of fleet' in err and err.count("\n") == 1)
        status, _, _ = run("page", "--summary", summary, "--markdown", plain, good)
        check("parts that were not run are left out", status == 0 and "Packet loss" not in plain.read_text(encoding="utf-8"))

        wrong = {
            "found none": (folder / "none.json",),
            "expected JSON": (written("cut.json", '{"label": '),), "found an error": (written("deep.json", "[" * 100_000),),
            "expected a JSON object": (written("list.json", []),),
            'what splitdsl-sim --json writes': (written("other.json", changed(GOOD, lambda d: d.pop("label"))),),
            'expected "device" and "ble"': (written("device.json", changed(GOOD, lambda d: d["sweep"][0].pop("device"))),),
            "expected phy, packets and interval": (written("ble.json", changed(GOOD, lambda d: d["sweep"][0].update(ble="phy=1M,packets=many,interval=1"))),),
            'expected "policies"': (written("policies.json", changed(GOOD, lambda d: d["sweep"][0].update(policies=[]))),),
            "an object as point 1": (written("entry.json", changed(GOOD, lambda d: d["sweep"].append(3) or d["sweep"].pop(1))),),
            '"mean_latency_ms" of fleet, point 0': (written("late.json", changed(GOOD, lambda d: d["sweep"][0]["policies"]["fleet"].update(mean_latency_ms=-1))),),
            '"accuracy" of fleet': (written("nan.json", json.dumps(changed(GOOD, lambda d: d["sweep"][0]["policies"]["fleet"].update(accuracy=float("nan"))))),),
            "runs of the same answers": (good, written("mixed.json", changed(GOOD, lambda d: d["scenario"].update(answers="y")))),
        }
        for says, runs in wrong.items():
            status, _, err = run("page", "--summary", summary, "--markdown", plain, *runs)
            check(f"refused in one sentence that has {says!r}: {status} {err!r}", status == 2 and err.startswith("fleet_report.py: expected") and says in err and err.count("\n") == 1)
        for says, change in {'"accuracy" in': lambda d: d.pop("accuracy"), "of fleet.cloud": lambda d: d["accuracy"]["fleet.cloud"].update(test=[[["x"]]]),
                             "to fit its accuracies": lambda d: d.update(sizes=[3]), "of fleet.trunk": lambda d: d["accuracy"].update({"fleet.trunk": 1})}.items():
            status, _, err = run("page", "--summary", written("bad.json", changed(SUMMARY, change)), "--markdown", plain, good)
            check(f"a summary is refused in one sentence that has {says!r}: {status} {err!r}", status == 2 and says in err and err.count("\n") == 1)

        base = ROOT / "examples" / "sim" / "cifar_recorded.toml"
        into = folder / "scenarios"
        check("scenarios are written", run("scenarios", "--base", base, "--into", into)[0] == 0)
        made = {p.stem: p.read_text(encoding="utf-8") for p in into.glob("*.toml")}
        check("figure 1a has its one threshold", "thresholds = [0.7]" in made["exits_0.7"])
        check("there is a scenario for each experiment", made.keys() == fleet_report.experiments().keys())
        with contextlib.suppress(ImportError):                     # Python 3.11
            import tomllib
            parsed = {n: tomllib.loads(t) for n, t in made.items()}
            check("profiles are found from the new folder", all((into / p["device"]["profiles"]).resolve() == ROOT / "examples" / "profiles" / "devices.csv" for p in parsed.values()))
            check("accuracies and sweeps are the experiments'", all(parsed[n]["calibration"]["accuracy"] == accuracy and {k: tuple(v) for k, v in parsed[n]["sweep"].items()} == sweep
                                                                   for n, (accuracy, sweep, *_) in fleet_report.experiments().items()))
            check("slow packets are short", parsed["slow_0.8"]["radio"]["ble"] == "phy=1M,interval=30,packets=4,bytes=27")
            names = [p["name"] for p in parsed["loss_1M_4_25_0.8"]["policy"]]
            check(f"policies that send nothing are left out of what sweeps the radio: {names}", "neurosurgeon 150 ms" in names and not set(names) & set(fleet_report.LOCAL))
        lacking = written("lacking.toml", base.read_text(encoding="utf-8").replace("[calibration]", "[calibrations]"))
        check("a base without what is changed is refused", "expected [calibration]" in run("scenarios", "--base", lacking, "--into", into)[2])
    if FAULTS:
        sys.exit(1)
    print("the report says what was simulated")


if __name__ == "__main__":
    main()
