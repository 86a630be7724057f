#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""examples/classify as its users call it.

    classify.py --program PATH/classify refusals     what it cannot do, it says; needs no data
    classify.py --program PATH/classify agreement    published weights on 200 pictures: the recorded top-1 on at least 199
    classify.py --program PATH/classify split        two processes, TCP, several cuts: the same answers on all 200 pictures, all from the other side
    classify.py --program PATH/classify split_u8     the same with 8 bits at the cut: the same top-1 on at least 195 of 200 pictures, on 198 on average; at every
                                                     other cut on at least 18 of 20, on 19.5 on average
    classify.py --program PATH/classify pictures     odd, huge, damaged pictures and archives

The last four need the folder SPLITDSL_DATA (default ../shared/data). `split` takes all pictures at one cut of one network and every tenth at two others, `split_u8` all at one of each and
every tenth at the others; both take everything with --every-cut or SPLITDSL_TEST_FULL=1. --plant breaks what is compared, to see that the comparison notices.
"""
import argparse
import csv
import ctypes
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib

from full_disk import FULL_DISK
from png_file import png_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import data_folder  # noqa: E402

DATA = data_folder.FOLDER
ARCHIVE, TABLE = "imagenet_samples_200.zip", "imagenet_samples_200.csv"
MODELS = ["squeezenet1_1", "mobilenet_v2_tf"]
problems = []


def check(right, what):
    print(("ok      " if right else "WRONG   ") + what, flush=True)
    if not right:
        problems.append(what)


class Classify:
    def __init__(self, program):
        self.program = program

    def run(self, *words, timeout=600, full=False, memory=None):
        limits = FULL_DISK if full else {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory))} if memory else {}
        done = subprocess.run([self.program, *map(str, words)], capture_output=True, text=True, timeout=timeout, check=False, **limits)
        return done.returncode, done.stdout, done.stderr

    def results(self, model, *words):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out.json"
            code, _, said = self.run("--model", model, "--weights", weights_of(model), "--quiet", "--json", out, *words)
            document = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {"results": []}
            return code, said, document

    def refuses(self, what, words, *parts, code=2):
        got, _, said = self.run(*words)
        check(got == code and all(part in said for part in parts), f"{what}: status {got}: {said.strip()[:300]}")


class Server:
    def __init__(self, program, model, codec="f32", bind="127.0.0.1"):
        self.process = subprocess.Popen([program, "--model", model, "--weights", str(weights_of(model)), "--serve", "0", "--codec", codec, "--bind", bind], stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        line = self.process.stdout.readline()
        found = re.search(r"port (\d+)", line)
        if not found:
            raise RuntimeError(f"classify --serve was expected to print its port, said '{line}'")
        self.port = int(found.group(1))
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.last_words = self.process.communicate(timeout=60)[0]
        check(self.process.returncode == 0, f"the serving side ends when told to: status {self.process.returncode}, {self.last_words.strip()}")


def weights_of(model):
    return DATA / "weights" / f"{model}.safetensors"


def need_data(*files, models=MODELS):
    data_folder.find(*(f"weights/{model}.safetensors" for model in models), *files)


def refusals(classify, _):
    missing = "no/such/file.safetensors"
    classify.refuses("an unknown model", ["--model", "resnet51", "--weights", missing, "a.jpg"], "--model resnet51: no such network", "squeezenet1_1", "cifar10_resnet20")
    classify.refuses("no model", ["a.jpg"], "--model NAME is missing", "mobilenet_v2_tf")
    classify.refuses("no weights", ["--model", "squeezenet1_1", "a.jpg"], "--weights FILE is missing")
    classify.refuses("weights that are not there", ["--model", "squeezenet1_1", "--weights", missing, "a.jpg"], missing)
    classify.refuses("no picture", ["--model", "squeezenet1_1", "--weights", missing], "a picture")
    peer = ["--connect", "127.0.0.1:9"]
    classify.refuses("an unknown cut", ["--model", "squeezenet1_1", "--weights", missing, "--split", "features99", *peer, "a.jpg"],
                     "--split features99: squeezenet1_1 has no such cut", "input, features2,", "features12")
    classify.refuses("a cut without a peer", ["--model", "squeezenet1_1", "--weights", missing, "--split", "features5", "a.jpg"], "--connect HOST:PORT")
    classify.refuses("a peer without a cut", ["--model", "squeezenet1_1", "--weights", missing, *peer, "a.jpg"], "--split CUT", "features12")
    first = ["--first", "cifar10_resnet20"]
    classify.refuses("a first network without weights", ["--model", "cifar10_resnet56", "--weights", missing, *first, "a.jpg"], "--first NAME and --first-weights FILE belong together")
    classify.refuses("an unknown first network", ["--model", "cifar10_resnet56", "--weights", missing, "--first", "resnet21", "--first-weights", missing, "a.jpg"],
                     "--first resnet21: no such network")
    classify.refuses("a confidence above one", ["--model", "cifar10_resnet56", "--weights", missing, *first, "--sure", "1.5", "a.jpg"], "--sure: expected 0 to 1, found 1.5")
    classify.refuses("a confidence without a first network", ["--model", "cifar10_resnet56", "--weights", missing, "--sure", "0.5", "a.jpg"], "--sure", "--first")
    classify.refuses("a first network of the serving side", ["--model", "cifar10_resnet56", "--weights", missing, *first, "--serve", "0"], "--first", "--serve")
    for address in ("nowhere", ":7447", "host:", "host:0", "host:65536", "host:12x", "host:-1", "::1:7447"):
        classify.refuses(f"the address {address}", ["--model", "squeezenet1_1", "--weights", missing, "--split", "input", f"--connect={address}", "a.jpg"],
                         "--connect: expected ", "in brackets" if address.startswith("::") else "HOST:PORT with a port from 1 to 65535", address)
    classify.refuses("a codec without a split", ["--model", "squeezenet1_1", "--weights", missing, "--codec", "affine_u8", "a.jpg"], "--codec affine_u8", "--split")
    classify.refuses("a port too high", ["--model", "squeezenet1_1", "--weights", missing, "--serve", "65536"], "--serve: expected 0 to 65535, found 65536")
    on_gpu = ["--model", "squeezenet1_1", "--weights", missing, "--backend", "cudnn"]
    classify.refuses("a codec that a GPU does not make", [*on_gpu, "--codec", "affine_u8", "--serve", "0"], "--backend cudnn: --codec affine_u8", "f32 was expected")
    for option in (["--or-cpu"], ["--gpu", "0"], ["--precision", "f16"]):
        classify.refuses(f"{option[0]} without a GPU", ["--model", "squeezenet1_1", "--weights", missing, "--backend", "cpu", *option, "a.jpg"],
                         f"{option[0]} is for GPUs: --backend cudnn was expected, found --backend cpu")
    classify.refuses("a GPU that no machine has", [*on_gpu, "--gpu", "63", "a.jpg"], "was expected")
    if not has_gpu():
        classify.refuses("no GPU", [*on_gpu, "a.jpg"], "NVIDIA's driver was expected as libcuda.so.1 and not found")
        classify.refuses("no GPU for an int8 network", ["--model", "mobilenet_v2_tf_int8", "--weights", missing, "--backend", "cudnn", "a.jpg"], "NVIDIA's driver was expected")
        classify.refuses("no GPU, but a processor", [*on_gpu, "--or-cpu", "a.jpg"], "the processor answers: NVIDIA's driver was expected", missing)
    with tempfile.TemporaryDirectory() as folder:
        junk = pathlib.Path(folder) / "junk.safetensors"
        junk.write_bytes(b"\xff" * 100)
        classify.refuses("weights that are none", ["--model", "squeezenet1_1", "--weights", junk, "a.jpg"], "junk.safetensors")


def has_gpu():
    try:
        ctypes.CDLL("libcuda.so.1")
        return True
    except OSError:
        return False


def recorded(model):
    with open(DATA / TABLE, encoding="utf-8") as file:
        return {row["file"]: (int(row[model + "_top1"]), float(row[model + "_logit"])) for row in csv.DictReader(file)}


def agreement(classify, options):
    need_data(ARCHIVE, TABLE, models=[*MODELS, "cifar10_resnet20"])
    for model in MODELS:
        wanted = recorded(model)
        if options.plant:
            wanted = {file: (top + 1, logit) for file, (top, logit) in wanted.items()}
        begin = time.monotonic()
        code, said, document = classify.results(model, DATA / ARCHIVE)
        best = {r["file"]: r["top"][0] for r in document.get("results", []) if "top" in r}
        same = sum(file in best and best[file]["class"] == top for file, (top, _) in wanted.items())
        worst = max((abs(best[file]["logit"] - logit) for file, (_, logit) in wanted.items() if file in best), default=float("inf"))
        check(code == 0 and document.get("model") == model and len(best) == 200 and same >= 199,
              f"{model}: the recorded top-1 on {same} of {len(wanted)} pictures, logits within {worst:.1e}, {time.monotonic() - begin:.1f} s {said}")
    # On a GPU where there is one: the same classes, and the processor where there is none.
    with tempfile.TemporaryDirectory() as folder:
        few = every_tenth(DATA / ARCHIVE, pathlib.Path(folder) / "few.zip")
        _, _, here = classify.results(MODELS[0], "--top", "1", few)
        code, said, there = classify.results(MODELS[0], "--top", "1", "--backend", "cudnn", "--or-cpu", few)
        on = there.get("code", "")
        same = [a["top"][0]["class"] for a in here["results"]] == [b["top"][0]["class"] for b in there.get("results", [])]
        check(code == 0 and same and (on.startswith("gpu") if has_gpu() else on == here["code"] and "the processor answers" in said), f"{MODELS[0]} with --backend cudnn, by {on}: the same top-1 {said}")
    code, said, document = classify.results("cifar10_resnet20", "--top", "3", DATA / ARCHIVE)
    check(code == 0 and all(len(r["top"]) == 3 for r in document["results"]), f"cifar10_resnet20 takes pictures of any size {said}")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(DATA / ARCHIVE) as pictures:
        labels, file = pathlib.Path(folder) / "labels.txt", pathlib.Path(folder) / "fish.jpg"
        file.write_bytes(pictures.read("0000.jpg"))
        for count in (999, 1001):
            labels.write_text("".join(f"label {i}\n" for i in range(count)), encoding="utf-8")
            classify.refuses(f"a file of {count} labels", ["--model", MODELS[1], "--weights", weights_of(MODELS[1]), "--labels", labels, file], "1000 lines were expected")
        labels.write_text("".join(f"label {i}\n" for i in range(1000)), encoding="utf-8")
        for model in MODELS:    # with and without a background class
            code, out, said = classify.run("--model", model, "--weights", weights_of(model), "--labels", labels, file)
            check(code == 0 and out.splitlines()[1].endswith("  label 0") and len(out.splitlines()) == 6, f"{model} names the class and four more {said}")


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def cuts_of(classify, model):
    _, out, _ = classify.run("--model", model, "--cuts")
    return [line.split()[0] for line in out.splitlines()]


def split(classify, options):
    need_data(ARCHIVE)
    pictures = DATA / ARCHIVE
    every = options.every_cut
    for model in MODELS if every else MODELS[:1]:
        names = cuts_of(classify, model)
        check(len(names) > 10, f"{model} has {len(names)} cuts, the input one of them")
        chosen = names if every else [names[len(names) // 2], names[0], names[-1]]
        code, said, whole = classify.results(model, pictures)
        check(code == 0 and len(whole["results"]) == 200, f"{model}: whole {said}")
        if options.plant:
            whole["results"][7]["top"][0]["class"] += 1
        with Server(options.program, model) as server, tempfile.TemporaryDirectory() as folder:
            few = every_tenth(pictures, pathlib.Path(folder) / "few.zip")
            for cut in chosen:
                archive, expected = (pictures, whole["results"]) if every or cut == chosen[0] else (few, whole["results"][::10])
                code, said, document = classify.results(model, "--split", cut, "--connect", f"127.0.0.1:{server.port}", archive)
                results, facts = document.get("results", []), document.get("split", {})
                name = lambda entry: entry["file"].rsplit("/", 1)[-1]
                same = sum(name(a) == name(b) and a["top"][0]["class"] == b["top"][0]["class"] for a, b in zip(results, expected))
                exact = [(name(a), a["top"]) for a in results] == [(name(b), b["top"]) for b in expected]
                by = facts.get("answered_by", {})
                n = len(expected)
                check(code == 0 and same == n and by == {"cloud": n, "edge": 0, "fallback": 0},
                      f"{model} split at {cut}: the same top-1 on {same} of {n} pictures, {'every logit the same' if exact else 'some logits DIFFER'}, answered by {by}")
                check(exact, f"{model} split at {cut}: not one bit of a logit differs")
            other = next(m for m in MODELS if m != model)
            classify.refuses("a peer with another network", ["--model", other, "--weights", weights_of(other), "--split", "input", "--connect",
                                                             f"127.0.0.1:{server.port}", "--patience", "2", pictures], "do not fit", model, other)
            # Either the part here, the rest and the margin do not fit, and that is said at once; or they do, and every picture is answered.
            code, _, said = classify.run("--model", model, "--weights", weights_of(model), "--split", "input", "--deadline", "0.01", "--connect", f"127.0.0.1:{server.port}", few)
            check(code == 0 or (code == 2 and "--deadline 0.01: the part here" in said and "no answer within" not in said),
                  f"a deadline that leaves no time for the rest here: status {code}: {said.strip()[:300]}")
            port = server.port
        classify.refuses("nobody on the other side", ["--model", model, "--weights", weights_of(model), "--split", "input", "--connect", f"127.0.0.1:{port}",
                                                      "--patience", "0.3", pictures], "no connection")
    if has_ipv6():
        with Server(options.program, model, bind="::1") as server, tempfile.TemporaryDirectory() as folder:
            code, said, document = classify.results(model, "--split", "input", "--connect", f"[::1]:{server.port}", every_tenth(pictures, pathlib.Path(folder) / "few.zip"))
            by = document.get("split", {}).get("answered_by")
            check(code == 0 and by == {"cloud": 20, "edge": 0, "fallback": 0}, f"{model} over IPv6: answered by {by} {said}")
    # The other side goes away in the middle: the rest is answered here.
    with zipfile.ZipFile(pictures) as archive, tempfile.TemporaryDirectory() as folder:
        some = pathlib.Path(folder) / "some.zip"
        with zipfile.ZipFile(some, "w") as out:
            for name in archive.namelist():
                out.writestr(name, archive.read(name))
        server = subprocess.Popen([options.program, "--model", MODELS[1], "--weights", str(weights_of(MODELS[1])), "--serve", "0"], stdout=subprocess.PIPE, text=True)
        port = int(re.search(r"port (\d+)", server.stdout.readline()).group(1))
        target = pathlib.Path(folder) / "out.json"
        edge = subprocess.Popen([options.program, "--model", MODELS[1], "--weights", str(weights_of(MODELS[1])), "--split", "block5", "--connect", f"127.0.0.1:{port}",
                                 "--json", str(target), str(some)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        edge.stdout.readline()      # the first picture is through
        server.kill()
        server.communicate()
        _, said = edge.communicate(timeout=600)
        document = json.loads(target.read_text(encoding="utf-8"))
        by = document["split"]["answered_by"]
        check(edge.returncode == 0 and by["cloud"] >= 1 and by["edge"] + by["fallback"] >= 1 and sum(by.values()) == 200,
              f"the other side dies: everything is answered all the same, {by} {said.strip()[:200]}")

        # This machine stands still beyond the deadline, again and again: late pictures are finished all the same.
        with Server(options.program, MODELS[1]) as server:
            target.unlink()
            edge = subprocess.Popen([options.program, "--model", MODELS[1], "--weights", str(weights_of(MODELS[1])), "--split", "block5", "--connect", f"127.0.0.1:{server.port}",
                                     "--deadline", "0.6", "--json", str(target), str(some)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            edge.stdout.readline()
            for _ in range(4):
                edge.send_signal(signal.SIGSTOP)
                time.sleep(0.8)
                edge.send_signal(signal.SIGCONT)
                time.sleep(0.05)
            _, said = edge.communicate(timeout=600)
            document = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
            facts = document.get("split", {"answered_by": {}, "late": -1})
            check(edge.returncode == 0 and sum(facts["answered_by"].values()) + facts["late"] == 200 and all("top" in r for r in document.get("results", [{}])),
                  f"an edge that stands still: every picture is answered, {facts['late']} of them late {said.strip()[:300]}")
            classify.refuses("a peer with another codec, at once and in one clause", ["--model", MODELS[1], "--weights", weights_of(MODELS[1]), "--split", "block5", "--codec", "affine_u8",
                             "--connect", f"127.0.0.1:{server.port}", "--patience", "300", pictures], 'cuts: codec "affine_u8" on the edge, "f32" in the cloud')


def payloads_of(classify, model, codec):
    _, out, _ = classify.run("--model", model, "--cuts", "--codec", codec)
    return {line.split()[0]: int(line.split()[1]) for line in out.splitlines()}


def every_tenth(archive, target):
    with zipfile.ZipFile(archive) as pictures, zipfile.ZipFile(target, "w") as out:
        for name in pictures.namelist()[::10]:
            out.writestr(name, pictures.read(name))
    return target


def split_u8(classify, options):
    need_data(ARCHIVE)
    pictures = DATA / ARCHIVE
    for model in MODELS:
        payloads, lossless = payloads_of(classify, model, "affine_u8"), payloads_of(classify, model, "f32")
        raw = payloads.pop("input")
        check(len(payloads) > 10 and raw == lossless["input"] and all(p == lossless[c] // 4 + 8 for c, p in payloads.items()),
              f"{model}: a byte a value and 8 more at each of {len(payloads)} cuts")
        names = list(payloads)
        chosen = names if options.every_cut else [names[len(names) // 2]]
        code, said, whole = classify.results(model, "--top", 1, pictures)
        check(code == 0 and len(whole["results"]) == 200, f"{model}: whole {said}")
        wanted = {r["file"]: r["top"][0]["class"] for r in whole["results"]}
        if options.plant:
            wanted = {file: top + (int(file[:4]) % 20 == 0) for file, top in wanted.items()}
        with Server(options.program, model, "affine_u8") as server, tempfile.TemporaryDirectory() as folder:
            peer = ["--connect", f"127.0.0.1:{server.port}"]
            few = every_tenth(pictures, pathlib.Path(folder) / "few.zip")
            for cuts, archive, count, least, mean_least in ((chosen, pictures, 200, 195, 198), ([n for n in names if n not in chosen], few, 20, 18, 19.5)):
                counts = []
                for cut in cuts:
                    code, said, document = classify.results(model, "--top", 1, "--codec", "affine_u8", "--split", cut, *peer, archive)
                    counts.append(sum(r["top"][0]["class"] == wanted[r["file"]] for r in document.get("results", [])))
                    facts = document.get("split", {})
                    by, sent = facts.get("answered_by"), facts.get("bytes_sent", 0) / count - payloads[cut]
                    check(code == 0 and counts[-1] >= least and by == {"cloud": count, "edge": 0, "fallback": 0} and 48 <= sent < 200 + 4000 / count,
                          f"{model} split at {cut} with 8 bits: the same top-1 on {counts[-1]} of {count} pictures, answered by {by}, {payloads[cut]} bytes a picture and {sent:.1f} around them")
                if counts:
                    mean = sum(counts) / len(counts)
                    check(mean >= mean_least, f"{model}: the same top-1 on {mean:.1f} of {count} on average over {len(counts)} cuts, on {min(counts)} at the worst")
            classify.refuses("a peer with another codec", ["--model", model, "--weights", weights_of(model), "--split", chosen[0], *peer, "--patience", "2", pictures],
                             "do not fit", "codec ", '"f32"', '"affine_u8"')


def golden_files():
    """The small pictures of the unit tests."""
    text = (ROOT / "tests" / "unit" / "image_golden.hpp").read_text(encoding="utf-8")
    found = re.findall(r"std::uint8_t (\w+)_file\[\] = \{([^}]*)\}", text)
    return {name: bytes(int(b) for b in body.split(",")) for name, body in found}


def flat_png(height, width):
    """One bit a pixel, all white."""
    rows = zlib.compressobj(1)
    data = b"".join(rows.compress(b"\0" + b"\xff" * ((width + 7) // 8)) for _ in range(height)) + rows.flush()
    return png_file(height, width, 1, 0, data)


def pictures(classify, _):
    need_data()
    model = MODELS[0]
    files = golden_files()
    common = ["--model", model, "--weights", weights_of(model)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)

        def put(file, data):
            (folder / file).write_bytes(data)
            return folder / file

        # Every small picture of the unit tests, among them one pixel, grey, CMYK, palettes, 16 bits.
        code, said, document = classify.results(model, *[put(f"{kind}.img", data) for kind, data in files.items()])
        check(code == 0 and all(len(r.get("top", [])) == 5 for r in document["results"]) and len(document["results"]) == len(files),
              f"{len(files)} small pictures of all kinds are answered {said}")
        huge = put("huge.png", flat_png(10_000, 10_000))
        classify.refuses("a 100-megapixel picture", [*common, huge], "10000 x 10000 pixels are more than the 50000000 allowed", code=1)
        code, said, document = classify.results(model, "--most-pixels", 100_000_000, huge, put("small.png", flat_png(256, 256)))
        tops = [r.get("top") for r in document.get("results", [])]
        check(code == 0 and tops[0] == tops[1] is not None, f"a 100-megapixel picture that is allowed answers as a small one of the same colour {said}")
        wide = put("wide.png", flat_png(700, 65_000))    # 137 MB of red, green and blue, and 60 more on its way to 256 pixels' height
        refused = set()
        for room in range(140, 260, 20):    # megabytes: too few for the picture, for what is made of it, or enough
            code, out, said = classify.run(*common, "--top", "1", wide, folder / "small.png", memory=room << 20)
            reason = re.search("wide.png: .*(there is no memory for them|this machine has not the memory for it)", said)
            refused |= {reason.group(1)} if reason else set()
            check("small.png" in out and (code == 0 or (code == 1 and reason)),
                  f"{room} MB for a wide picture: it is answered or refused by name, and the next one answered: status {code}: {said.strip()[:300]}")
        check(refused, f"some of them were too few: {refused}")
        whole = files["jpeg_420"]
        classify.refuses("a truncated JPEG", [*common, put("cut.jpg", whole[:-40])], "cut.jpg: damaged JPEG file", code=1)
        classify.refuses("a text file", [*common, put("text.jpg", b"hello, world")], "text.jpg: neither JPEG nor PNG", code=1)
        classify.refuses("an empty file", [*common, put("empty.jpg", b"")], "it is empty", code=1)
        classify.refuses("a file that is not there", [*common, folder / "missing.jpg"], "missing.jpg: no such file", code=1)
        classify.refuses("a folder", [*common, folder], "found a folder", code=1)
        code, out, said = classify.run(*common, folder / "text.jpg", folder / "jpeg_420.img")
        check(code == 1 and "jpeg_420.img" in out, f"one bad picture does not keep the next from being answered {said.strip()}")

        # Archives.
        with zipfile.ZipFile(folder / "mixed.zip", "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("folder/", b"")
            out.writestr("folder/good.jpg", whole)
            out.writestr("notes.txt", b"not a picture")
            out.writestr("empty.jpg", b"")
            out.writestr("empty.png", b"", zipfile.ZIP_STORED)
            out.writestr("last.jpg", whole)
        code, said, document = classify.results(model, folder / "mixed.zip")
        check(code == 1 and [("top" in r, r["file"]) for r in document["results"]]
              == [(True, "folder/good.jpg"), (False, "notes.txt"), (False, "empty.jpg"), (False, "empty.png"), (True, "last.jpg")]
              and said.count("it is empty") == 2 and "mixed.zip, notes.txt: " in said, f"an archive's pictures are answered, its text and its empty entries are refused: {said.strip()}")
        with zipfile.ZipFile(folder / "nothing.zip", "w"):
            pass
        classify.refuses("an archive without entries", [*common, folder / "nothing.zip"], "nothing.zip: pictures were expected in the archive, found none", code=1)
        code, _, said = classify.run(*common, "--quiet", "--json", folder / "full.json", folder / "jpeg_one_pixel.img", full=True)
        check(code == 1 and f"--json {folder / 'full.json'}: cannot be written: File too large" in said and not (folder / "full.json").exists(), f"a full disk: status {code}: {said.strip()}")
        classify.refuses("a limit below one", [*common, "--most-pixels", "-1", folder / "empty.jpg"], "--most-pixels")
        archive = (folder / "mixed.zip").read_bytes()
        classify.refuses("a truncated archive", [*common, put("cut.zip", archive[:len(archive) * 2 // 3])], "cut.zip: not a readable ZIP archive", code=1)
        classify.refuses("an archive that is none", [*common, put("none.zip", b"PK\3\4" + b"\0" * 200)], "none.zip: not a readable ZIP archive", code=1)
        with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as out, out.open("zeros.jpg", "w") as entry:
            for _round in range(300):
                entry.write(b"\0" * (1 << 20))
        classify.refuses("an entry that unpacks to 300 MiB", [*common, folder / "bomb.zip"], "bomb.zip, zeros.jpg: unpacks to 314572800 bytes", code=1)
        with zipfile.ZipFile(folder / "stored.zip", "w") as out:
            out.writestr("a.jpg", whole)
        stored = bytearray((folder / "stored.zip").read_bytes())
        stored[stored.index(whole) + len(whole) // 2] ^= 0x55
        classify.refuses("an entry with a wrong checksum", [*common, put("stored.zip", bytes(stored))], "a.jpg: CRC error", code=1)

        # Weights that do not fit.
        good = weights_of(model).read_bytes()
        picture = folder / "jpeg_420.img"
        classify.refuses("truncated weights", ["--model", model, "--weights", put("cut.safetensors", good[:len(good) // 2]), picture], "cut.safetensors")
        classify.refuses("no more than the weights' length", ["--model", model, "--weights", put("head.safetensors", good[:8]), picture], "head.safetensors")
        classify.refuses("another network's weights", ["--model", MODELS[1], "--weights", weights_of(model), picture], "squeezenet1_1.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--every-cut", action="store_true")
    parser.add_argument("--plant", action="store_true")
    tests = {"refusals": refusals, "agreement": agreement, "split": split, "split_u8": split_u8, "pictures": pictures}
    parser.add_argument("test", choices=tests)
    options = parser.parse_args()
    options.every_cut |= os.environ.get("SPLITDSL_TEST_FULL", "") not in ("", "0")
    tests[options.test](Classify(options.program), options)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
