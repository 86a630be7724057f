#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Recorded answers of a cascade are those that classify wrote, in an order that shows every class early, and what does not fit is refused by name.

    cascade_answers_test.py
"""
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import safetensors_io  # noqa: E402

faults = 0


def check(holds, what):
    global faults
    if not holds:
        faults += 1
        print(f"FAULT: {what}")


def document(logits):
    """As classify writes one: {picture: logits}, best class first."""
    return {"results": [{"file": f, "top": sorted(({"class": c, "logit": v} for c, v in enumerate(row) if v is not None), key=lambda t: -t["logit"])} for f, row in logits.items()]}


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)

        def put(file, content):
            (folder / file).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
            return folder / file

        def run(*words):
            return subprocess.run([sys.executable, str(ROOT / "tools/cascade_answers.py"), *map(str, words)], capture_output=True, text=True, timeout=60, check=False)

        def refuses(what, part, *words):
            done = run(*words)
            check(done.returncode == 1 and part in done.stderr and done.stderr.count("\n") == 1, f"{what}: status {done.returncode}, {done.stderr!r}")

        small = {f"{c}/{i}.jpg": [float(c == k) + i / 8 for k in range(3)] for c in range(3) for i in range(4)}
        big = {f: [v * 2 for v in row] for f, row in small.items()}
        a, b, out = put("small.json", document(small)), put("big.json", document(big)), folder / "out.safetensors"
        done = run(a, b, out)
        check(done.returncode == 0 and "12 pictures of 3 classes" in done.stdout, f"a file is made: {done.stderr}")
        tensors, about = safetensors_io.load(out)
        order = [f"{c}/{i}.jpg" for i in range(4) for c in range(3)]
        check(tensors["labels"].tolist() == [0, 1, 2] * 4, "classes take turns")
        check(tensors["cascade.local"].shape == (12, 1, 3) and tensors["cascade.local"][:, 0].tolist() == [small[f] for f in order], "the small network's logits are the device's")
        check(tensors["cascade.offload"].shape == (12, 1, 3) and tensors["cascade.offload"][:, 0].tolist() == [big[f] for f in order], "the big one's are the cloud's")
        check("classify" in about["made by"], "the file says where it is from")
        done = run(a, b, out, "--each", 2, "--group", "mine")
        check(done.returncode == 0 and safetensors_io.load(out)[0]["mine.local"].shape == (6, 1, 3), f"so many of each class: {done.stderr}")
        table = put("labels.csv", "file,index\n" + "".join(f"{f},{300 + int(f[0])}\n" for f in small))
        refuses("labels beyond the classes", "expected the logits of 303 classes (--top 303), found 3", a, b, out, "--labels", table, "--column", "index")
        refuses("no such column", "expected a number in the column class_index", a, b, out, "--labels", table)
        one_short = {f: [None if k == 2 - int(f[0]) and f[2] == "0" and f[0] != "1" else v for k, v in enumerate(row)] for f, row in small.items()}
        check(run(put("short.json", document(one_short)), b, out).returncode == 0, "one class may be missing: the least likely one of a network with a background")
        two_short = {f: [v if k == 0 else None for k, v in enumerate(row)] for f, row in small.items()}
        refuses("two classes missing", "expected the logits of 3 classes (--top 3), found 1", put("two.json", document(two_short)), b, out)
        refuses("pictures without folders", "0.jpg: expected a folder named by a number", put("flat.json", document({"0.jpg": [1.0, 2.0]})), put("flat2.json", document({"0.jpg": [1.0, 2.0]})), out)
        refuses("no picture in common", "expected pictures that both name", a, put("other.json", document({"9/9.jpg": [1.0]})), out)
        refuses("another file", "expected what classify --json writes", put("no.json", "[1]"), b, out)
        refuses("no JSON", "expected what classify --json writes", put("no2.json", "{"), b, out)
        refuses("no file", "nothing.json", folder / "nothing.json", b, out)
        refuses("a folder", "an ordinary file", folder, b, out)
        refuses("logits beyond F16", "expected logits that F16 holds", put("large.json", document({f: [1e6, 1.0, 2.0] for f in small})), b, out)
        before = a.read_bytes()
        refuses("one of its inputs as output", "expected a file of its own", a, b, a)
        check(a.read_bytes() == before, "and the input is still there")
    print(f"{faults} faults")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
