#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""A cascade as its users run it: a small network here, a big one behind a slow way, two processes, TCP, and the relay between them.

    cascade.py --classify PATH/classify --relay PATH/splitdsl-relay                the same answers as each network's own, from the network that has to give them
    cascade.py --classify ... --relay ... --table [PICTURES]                       prints what it takes for several delays: a measurement, no test

Needs cifar10/test.zip and the weights of both networks in the folder SPLITDSL_DATA (default ../shared/data).
"""
import argparse
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import data_folder  # noqa: E402

SMALL, BIG = "cifar10_resnet20", "cifar10_resnet56"
PIXELS = 3 * 32 * 32
problems = []


def check(right, what):
    print(("ok      " if right else "WRONG   ") + what, flush=True)
    if not right:
        problems.append(what)


def weights_of(model):
    return data_folder.FOLDER / "weights" / f"{model}.safetensors"


class Listening:
    """A process that says its port, and ends when told to."""

    def __init__(self, words, pattern):
        self.process = subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(pattern, line)
        if not found:
            self.process.kill()
            raise RuntimeError(f"{words[0]} was expected to print its port, said '{line}'")
        self.port = int(found.group(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate(timeout=60)
        check(self.process.returncode == 0, f"{pathlib.Path(self.process.args[0]).name} ends when told to: status {self.process.returncode}")


def serving(options):
    return Listening([options.classify, "--model", BIG, "--weights", weights_of(BIG), "--serve", "0"], r"port (\d+)")


def relay(options, port, delay_ms):
    return Listening([options.relay, "--to", f"127.0.0.1:{port}", "--delay", delay_ms], r"127\.0\.0\.1:(\d+), to")


def classify(options, model, pictures, *words):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.json"
        done = subprocess.run([*map(str, [options.classify, "--model", model, "--weights", weights_of(model), "--top", 10, "--quiet", "--json", out, *words, pictures])],
                              capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"classify: status {done.returncode}: {done.stderr}")
        return json.loads(out.read_text(encoding="utf-8")), done.stderr.strip()


def cascade(options, pictures, port, sure):
    return classify(options, BIG, pictures, "--split", "input", "--connect", f"127.0.0.1:{port}", "--first", SMALL, "--first-weights", weights_of(SMALL), "--sure", sure)


def confidence(result):
    logits = [t["logit"] for t in result["top"]]
    return 1 / sum(math.exp(v - max(logits)) for v in logits)


def some_pictures(folder, of_each):
    few = pathlib.Path(folder) / "few.zip"
    with zipfile.ZipFile(data_folder.FOLDER / "cifar10" / "test.zip") as archive, zipfile.ZipFile(few, "w") as out:
        taken = {}
        for name in sorted(archive.namelist()):
            label = name.split("/")[0]
            taken[label] = taken.get(label, 0) + 1
            if taken[label] <= of_each:
                out.writestr(name, archive.read(name))
    return few


def agreement(options, folder):
    delay_ms, made_up_ms = 50, 20      # the relay's clock makes up for at most so much time by which it overslept
    pictures = some_pictures(folder, 6)
    small, big = ({r["file"]: r for r in classify(options, model, pictures)[0]["results"]} for model in (SMALL, BIG))
    with serving(options) as server, relay(options, server.port, delay_ms) as way:
        for sure in (0.8, 0.99):
            document, said = cascade(options, pictures, way.port, sure)
            results, first, split = document["results"], document["first"], document["split"]
            unsure = {f for f, r in small.items() if confidence(r) < sure}
            passed = {r["file"] for r in results if r["by"] == BIG}
            check(len(results) == 60 and passed == unsure and 0 < len(passed) < 60, f"at {sure} the {len(unsure)} of 60 pictures that {SMALL} is not sure of go on: {len(passed)} did")
            check(first["passed_on"]["pictures"] == len(passed) and first["answered"]["pictures"] == 60 - len(passed) and first["label"] == "measured", f"and are counted: {first}")
            means = [(first[key], [r["ms"] for r in results if r["by"] == by]) for key, by in (("answered", SMALL), ("passed_on", BIG))]
            check(all(abs(said_of["mean_ms"] - sum(ms) / len(ms)) < 1e-6 * said_of["mean_ms"] and said_of["interval_95_ms"] > 0 for said_of, ms in means), "with means and intervals of what they took")
            expected = {f: (big if f in unsure else small)[f]["top"] for f in small}
            check(all(r["top"] == expected[r["file"]] for r in results), "every answer is, to the last bit, that of the network which had to give it")
            check(split["answered_by"] == {"cloud": len(passed), "edge": 0, "fallback": 0} and split["late"] == 0, f"the other side answered all that went on: {split} {said}")
            around = split["bytes_sent"] - PIXELS * len(passed)
            check(48 * len(passed) <= around < 200 * len(passed) + 4000, f"only they were sent: {split['bytes_sent']} bytes, {around} of them around the pixels")
            # What goes on takes the way there and back, whatever else the machine does.
            least = min((r["ms"] for r in results if r["by"] == BIG), default=0)
            check(least >= 2 * (delay_ms - made_up_ms), f"what goes on takes the way: at least {least:.1f} ms")


def mean_ms(results):
    return sum(r["ms"] for r in results) / len(results)


def table(options, folder):
    pictures = some_pictures(folder, max(1, options.table // 10))
    print(f"measured: {SMALL} here, {BIG} behind TCP and the relay; means of all pictures, from pixels to answer; faster: than sending every input")
    print("   way ms   sure   passed on   accuracy    mean ms   every input ms   faster")
    with serving(options) as server:
        for delay in (0, 10, 30, 50, 100):
            with relay(options, server.port, delay) as way:
                def run(sure, port=way.port):
                    return cascade(options, pictures, port, sure)[0]["results"]

                # What every input would take: what takes both networks and the way, less the small network.
                every = mean_ms([r for r in run(1) if r["by"] == BIG]) - mean_ms(run(0))
                for sure in (0.5, 0.8, 0.95, 0.99):
                    results = run(sure)
                    passed = sum(r["by"] == BIG for r in results) / len(results)
                    right = sum(r["top"][0]["class"] == int(r["file"].split("/")[0]) for r in results) / len(results)
                    mean = mean_ms(results)
                    print(f"{2 * delay:9d} {sure:6.2f} {100 * passed:9.1f} % {100 * right:8.1f} % {mean:10.2f} {every:16.2f} {100 * (1 - mean / every):7.1f} %", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classify", required=True)
    parser.add_argument("--relay", required=True)
    parser.add_argument("--table", type=int, nargs="?", const=200)
    options = parser.parse_args()
    data_folder.find("cifar10/test.zip", f"weights/{SMALL}.safetensors", f"weights/{BIG}.safetensors")
    with tempfile.TemporaryDirectory() as folder:
        (table if options.table else agreement)(options, folder)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
