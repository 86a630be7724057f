#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""splitdsl-describe as its users call it: what it refuses, and whether its numbers agree with each other and with PIL.

    describe.py --program PATH/splitdsl-describe [--plant]

--plant changes one number of each document before it is checked, to see that the checks notice.
PIL, where this Python has it, is the reference for the sizes of PNG and JPEG files.
"""
import argparse
import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import zlib

from png_file import png_file

try:
    from PIL import Image
except ImportError:
    Image = None

problems = []
CODECS = {"f32": 4, "u8": 1}


def check(right, what):
    if not right:
        problems.append(what)
        print("WRONG   " + what, flush=True)
    return right


def done(what):
    print("done    " + what, flush=True)


def png_of(height, width, pixel):
    """A PNG file of pixel(y, x) -> (r, g, b), by the standard library alone."""
    rows = b"".join(b"\0" + bytes(v for x in range(width) for v in pixel(y, x)) for y in range(height))
    return png_file(height, width, 8, 2, zlib.compress(rows))


class Describe:
    def __init__(self, program, plant):
        self.program, self.plant = program, plant

    def run(self, *words):
        r = subprocess.run([self.program, *map(str, words)], capture_output=True, text=True, timeout=600, check=False)
        return r.returncode, r.stdout, r.stderr

    def document(self, *words):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out.json"
            code, _, said = self.run(*words, "--json", out)
            check(code == 0 and out.exists(), f"{words}: status {code}: {said.strip()[:300]}")
            document = json.loads(out.read_text(encoding="utf-8"))
        if self.plant:
            document["layers"][len(document["layers"]) // 2]["macs"] += 1
        return document

    def refuses(self, what, words, *parts):
        code, out, said = self.run(*words)
        check(code == 2 and out == "" and said.startswith("splitdsl-describe: ") and said.count("\n") == 1 and all(p in said for p in parts),
              f"{what}: status {code}, said {said.strip()[:400]!r}")


def refusals(describe):
    describe.refuses("an unknown network", ["resnet5"], 'no network is called "resnet5"', "--list", "resnet50", "resnet18")
    describe.refuses("a misspelt network", ["squezenet1_1"], "squeezenet1_1")
    describe.refuses("a misspelt beginning", ["mobilnet"], "mobilenet_v2")
    describe.refuses("a name like none", ["qqqqqqqqqqqq"], 'no network is called "qqqqqqqqqqqq"')
    _, _, said = describe.run("qqqqqqqqqqqq")
    check("one of these" not in said, f"a name like none has no close names: {said}")
    describe.refuses("a very long name", ["x" * 100_000], "no network is called")
    code, listed, _ = describe.run("--list")
    if code == 0 and not any(line.split()[0] == "resnet152" for line in listed.splitlines()):
        describe.refuses("a network this build leaves out", ["resnet152"], "this build leaves it out", "-DSPLITDSL_ZOO_ALL=ON")
    describe.refuses("no name", [], "name of a network is missing")
    describe.refuses("a picture that is not there", ["resnet18", "--picture", "no/such.jpg"], "no/such.jpg: no such file")
    describe.refuses("weights that are not there", ["cifar10_resnet20", "--time", "--weights", "no/such.safetensors"], "no/such.safetensors")
    describe.refuses("weights without --time", ["cifar10_resnet20", "--weights", "no/such.safetensors"], "--time")
    describe.refuses("a list that cannot be written", ["--list", "--json", "no/such/folder/out.json"], "--json no/such/folder/out.json")
    describe.refuses("a file that cannot be written", ["cifar10_resnet20", "--json", "no/such/folder/out.json"], "--json no/such/folder/out.json")
    with tempfile.TemporaryDirectory() as folder:
        text = pathlib.Path(folder) / "text.png"
        text.write_text("hello, world")
        describe.refuses("a picture that is none", ["resnet18", "--picture", text], "neither JPEG nor PNG")
    for wrong in (["--format", "xml"], ["--quality", "0"], ["--quality", "101"], ["--runs", "0"], ["--threads", "0"], ["--no-such-option"]):
        code, out, _ = describe.run("cifar10_resnet20", *wrong)
        check(code != 0 and out == "", f"{wrong} is refused: status {code}")
    done("what it cannot do, it says")


def names(describe):
    code, out, _ = describe.run("--list")
    found = [line.split()[0] for line in out.splitlines()]
    check(code == 0 and {"squeezenet1_1", "mobilenet_v2", "resnet50", "ssdlite320_mobilenet_v3_large"} <= set(found) and len(set(found)) == len(found), f"--list: {found}")
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "list.json"
        code, again, _ = describe.run("--list", "--json", out)
        document = json.loads(out.read_text(encoding="utf-8")) if out.exists() else []
        check(code == 0 and len(again.splitlines()) == len(found) and [n["network"] for n in document] == found and all(n["macs"] > 0 and n["inputs"] for n in document), f"--list --json: {document[:2]}")
    return found


def formats(describe, name):
    """What the formats say is one network; returns the JSON of --format json."""
    _, out, _ = describe.run(name, "--format", "json")
    graph = json.loads(out)
    _, dot, _ = describe.run(name, "--format", "dot")
    check(dot.startswith("digraph ") and dot.rstrip().endswith("}") and dot.count(" -> ") >= len(graph["ops"]) // 3, f"{name}: the Graphviz text is whole")
    code, table, _ = describe.run(name)
    total = re.search(r"total ([\d.]+) million MACs, ([\d.]+) million parameters", table)
    check(code == 0 and total and abs(float(total[1]) - graph["macs"] / 1e6) < 1e-3 and abs(float(total[2]) - graph["parameter_count"] / 1e6) < 1e-3, f"{name}: the table's totals")
    check("raw %d bytes" % sum(op_bytes(op) for op in graph["ops"] if op["kind"] == "input" and op["used"]) in table, f"{name}: the table's raw size")
    return graph


def op_bytes(op):
    values = op["shape"][0] * op["shape"][1] * op["shape"][2]
    return values * (1 if op["kind"] == "input" and op["dtype"] == "u8" else 4)


def sums(describe, name, graph, document):
    """Sums over layers and stages are the network's; every split's bytes are those of the tensors that cross, worked out again from the graph."""
    layers, stages, ops = document["layers"], document["stages"], graph["ops"]
    check(document["graph"] == graph and document["network"] == name, f"{name}: the document holds the graph")
    check(document["macs"] == graph["macs"] == sum(l["macs"] for l in layers) == sum(s["macs"] for s in stages) == layers[-1]["macs_so_far"], f"{name}: MACs add up")
    check(document["parameters"] == graph["parameter_count"] == sum(l["parameters"] for l in layers) == sum(s["parameters"] for s in stages), f"{name}: parameters add up")
    check(abs(sum(s["share_of_macs"] for s in stages) - 1) < 1e-9, f"{name}: shares add up")
    for k, s in enumerate(stages):      # the compiled network's own count
        check(s["macs"] == sum(l["macs"] for l in layers if l["stage"] == k) and abs(s["share_of_macs"] * document["macs"] - s["macs"]) < 0.5, f"{name}: stage {k}")
    check([(s["ends_at"], s["payload_bytes"]) for s in stages if s["payload_bytes"]] == [(c["name"], c["payload_bytes"]) for c in graph["cuts"]], f"{name}: payloads of the cuts")
    check(document["input"]["raw"] == sum(t["bytes"] for t in document["input"]["tensors"]) == sum(op_bytes(op) for op in ops if op["kind"] == "input"), f"{name}: raw input")

    inputs = {op["index"] for op in ops if op["kind"] == "input"}
    computing = [op for op in ops if op["kind"] not in ("identity", "from", "output") and op["used"]]
    last = {}
    for op in computing:
        for i in op["inputs"]:
            last[i] = max(last.get(i, -1), op["index"])
    wrong = 0
    previous = None
    for l in layers:
        crossing = [i for i in {op["index"] for op in computing} if (i <= l["op"] or i in inputs) and last.get(i, -1) > l["op"]]
        own = ops[l["op"]]
        values = own["shape"][0] * own["shape"][1] * own["shape"][2]
        wrong += l["output_bytes"] != ({c: op_bytes(own) for c in CODECS} if own["kind"] == "input" else {"f32": 4 * values, "u8": values + 8})
        if own["kind"] == "input" or not crossing:
            wrong += l["split"] is not None
            continue
        bytes_of = {c: sum(op_bytes(ops[i]) if i in inputs or c == "f32" else op_bytes(ops[i]) // 4 + 8 for i in crossing) for c in CODECS}
        split = l["split"]
        wrong += split["bytes"] != bytes_of or split["tensors"] != len(crossing)
        for codec in CODECS:
            wanted = [r for r in ("raw", "png", "jpeg") if document["input"][r] is not None and bytes_of[codec] < document["input"][r]]
            wrong += split["smaller_than"][codec] != wanted
        previous = l
    check(wrong == 0 and previous is not None, f"{name}: {wrong} layers whose crossing bytes or marks are not those of the graph")
    for cut in graph["cuts"]:           # a lossless cut sends what its row says
        row = next(l for l in layers if l.get("cut") == cut["name"])
        if all(ops[i["op"]].get("codec", "f32") == "f32" for i in cut["items"]):
            check(row["split"]["bytes"]["f32"] == cut["payload_bytes"], f"{name}: the row of cut {cut['name']}")
    for s in document["splits"]:
        rows = [l for l in layers if l["split"] and l["split"]["in_table"] and s["smaller_than"] in l["split"]["smaller_than"][s["codec"]]]
        check(s["places"] == len(rows), f"{name}: {s['codec']} smaller than {s['smaller_than']}")
        if rows:
            check(s["first"]["op"] == rows[0]["op"] and s["smallest"]["bytes"] == min(l["split"]["bytes"][s["codec"]] for l in rows), f"{name}: first and smallest of {s['codec']}, {s['smaller_than']}")


def pictures(describe):
    """Sizes of a generated picture: a photograph's smoothness with some noise, wider than high, so that it is resized and cropped."""
    state = [1]

    def noise():
        state[0] = (state[0] * 1103515245 + 12345) % (1 << 31)
        return state[0] >> 16 & 15

    def pixel(y, x):
        return ((x * 200 // 300 + noise()) & 255, (y + noise()) & 255, ((x + y) // 3 + noise()) & 255)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "generated.png"
        file.write_bytes(png_of(260, 400, pixel))
        seen = {}
        for quality in (30, 75, 95):
            document = describe.document("squeezenet1_1", "--picture", file, "--quality", quality)
            sizes = document["input"]
            seen[quality] = sizes
            check(sizes["raw"] == 3 * 224 * 224 and (sizes["height"], sizes["width"], sizes["quality"]) == (224, 224, quality), f"the network's input size: {sizes}")
            check(0 < sizes["jpeg"] < sizes["png"] < sizes["raw"], f"JPEG < PNG < raw: {sizes}")
            if quality == 75:
                sums(describe, "squeezenet1_1", document["graph"], document)
                check({(s["codec"], s["smaller_than"]) for s in document["splits"]} == {(c, r) for c in CODECS for r in ("raw", "png", "jpeg")}, "all six questions are answered")
            if Image:
                picture = Image.open(file).convert("RGB").resize((256 * 400 // 260, 256), Image.BILINEAR)
                left, top = (picture.width - 224) // 2, (picture.height - 224) // 2
                picture = picture.crop((left, top, left + 224, top + 224))
                jpeg, png = io.BytesIO(), io.BytesIO()
                picture.save(jpeg, "JPEG", quality=quality, subsampling=2)
                picture.save(png, "PNG")
                check(abs(sizes["jpeg"] - len(jpeg.getvalue())) <= 32, f"quality {quality}: JPEG {sizes['jpeg']} bytes, PIL {len(jpeg.getvalue())}")
                check(abs(sizes["png"] / len(png.getvalue()) - 1) <= 0.05, f"PNG {sizes['png']} bytes, PIL {len(png.getvalue())}")
        check(seen[30]["jpeg"] < seen[75]["jpeg"] < seen[95]["jpeg"] and len({s["png"] for s in seen.values()}) == 1, "a better JPEG is larger, the PNG stays")
        # A network that resizes without a crop, and a flat picture: nearly nothing as PNG.
        flat = pathlib.Path(folder) / "flat.png"
        flat.write_bytes(png_of(50, 90, lambda y, x: (10, 200, 30)))
        sizes = describe.document("cifar10_resnet20", "--picture", flat)["input"]
        check(sizes["raw"] == 3072 and (sizes["height"], sizes["width"]) == (32, 32) and sizes["png"] < 200 and sizes["jpeg"] < 1000, f"a flat picture: {sizes}")
        code, table, _ = describe.run("squeezenet1_1", "--picture", file)
        check(code == 0 and "smaller than jpeg" in table and f"PNG {seen[75]['png']} bytes, JPEG at quality 75 {seen[75]['jpeg']} bytes" in table, "the table names the sizes")
    done("sizes of pictures" + ("" if Image else " (without PIL to compare with)"))


def claims(describe, networks):
    """EDGE-02: a classic network's first layers send more than its input; late layers of a mobile one send much less."""
    document = describe.document("mobilenet_v2")
    rows = [l["split"]["bytes"] for l in document["layers"] if l["split"]]
    check(max(r["u8"] for r in rows) > 5 * document["input"]["raw"], "early layers send more than the input")
    cut = {l["cut"]: l["split"]["bytes"]["u8"] for l in document["layers"] if l.get("cut")}
    check(cut["block12"] == 14 * 14 * 96 + 8 and cut["block15"] == 7 * 7 * 160 + 8 and document["input"]["raw"] / cut["block12"] > 7.9, "MobileNetV2's late blocks send an eighth of the raw input")
    check(cut["block6"] == 14 * 14 * 64 + 8 and cut["block13"] == 7 * 7 * 160 + 8, "the two layers that the paper names")
    if "inception_v4" in networks:
        document = describe.document("inception_v4")
        rows = [l for l in document["layers"] if l["split"] and l["split"]["in_table"]]
        raw, last = document["input"]["raw"], rows[-1]
        check(raw == 3 * 299 * 299 and last["word"] == "global_pool" and last["split"]["bytes"] == {"f32": 4 * 1536, "u8": 1536 + 8}, f"InceptionV4 ends with its pooling: {last}")
        check(all(l["split"]["bytes"]["f32"] > raw for l in rows[:-1]), "InceptionV4 unquantised: no layer before the last pooling sends less than the raw input")
        early = [l for l in rows if l["macs_so_far"] < 0.925 * document["macs"]]
        check(len(early) > 100 and all(l["split"]["bytes"]["u8"] > raw for l in early), "InceptionV4 in bytes: not in the first 92.5 % of the MACs either")
        check(min(l["split"]["bytes"]["u8"] for l in rows[:-1]) == 8 * 8 * 1536 + 8, "InceptionV4 in bytes: 98,312 at least")
    done("published shapes")


def scans(describe):
    """SAGE-09: every split's time is its layers' on either side and the link's between; the best is the least; figure 3's moral."""
    mbps, rtt, edge, cloud = 10, 5, 215.5, 2.4
    document = describe.document("densenet169", "--scan", mbps, "--edge-ms", edge, "--cloud-ms", cloud, "--rtt", rtt)
    scan, layers, total = document["scan"], [l for l in document["layers"] if l["split"] and l["split"]["in_table"]], document["macs"]
    rows = scan["rows"]
    check(scan["label"] == "modelled" and (scan["mbps"], scan["rtt"], scan["edge"], scan["cloud"], scan["deadline"]) == (mbps, rtt, edge, cloud, 100), f"a scan says its terms: {scan['label']}")
    check(len(rows) == len(layers) + 2 and rows[0]["behind"] == "input" and rows[0]["bytes"] == document["input"]["raw"] and rows[-1]["bytes"] == 0, "the input, every layer and everything here")
    reply = 4 * 1000                        # its 1000 answers come back as floats, as fast
    for row, layer in zip(rows[1:-1], layers):
        share = layer["macs_so_far"] / total
        wire = rtt + 8 * (layer["split"]["bytes"]["f32"] + reply) / (mbps * 1e3)
        if not check(row["behind"] == layer["label"] and row["bytes"] == layer["split"]["bytes"]["f32"] and abs(row["edge"] - edge * share) < 1e-3
                     and abs(row["cloud"] - cloud * (1 - share)) < 1e-3 and abs(row["communication"] - wire) < 1e-3
                     and abs(row["total"] - row["edge"] - row["communication"] - row["cloud"]) < 1e-3 and row["in_time"] == (row["total"] <= 100), f"densenet169 split behind {layer['label']}: {row}"):
            break
    check(scan["best"] == min(rows, key=lambda r: r["total"]) and scan["best"]["behind"] == "input", f"of a network without a bottleneck nothing beats the input: {scan['best']}")
    code, text, _ = describe.run("densenet169", "--scan", mbps, "--edge-ms", edge, "--cloud-ms", cloud)
    part = text.split("split by time", 1)[-1].split("stages", 1)[0]
    check(code == 0 and "modelled" in part and part.count(" best") == 1 + part.count("the best of") and sum("cut transition" in line for line in part.splitlines()) == 3, f"the table shows the best row and the cuts: {part}")
    measured = describe.document("cifar10_resnet20", "--scan", 1000, "--cloud-ms", 0.1, "--time", "--runs", 3)
    check(measured["scan"]["edge_measured"] and abs(measured["scan"]["edge"] - measured["times"]["whole"]["median"]) < 1e-9, "without --edge-ms the time is the measured one")
    if "sage_densenet169" in names(describe):
        scan = describe.document("sage_densenet169", "--scan", mbps, "--edge-ms", edge, "--cloud-ms", cloud)["scan"]
        check(scan["best"]["behind"] == "cut uplink" and scan["best"]["in_time"] and abs((scan["rows"][0]["communication"] - rtt) / (scan["best"]["communication"] - rtt) - 14.1) < 0.3,
              f"SAGE's bottleneck beats its input, 14 times on the link: {scan['best']}")
    for wrong, said in ((["--scan", 10], "requires --cloud-ms"), (["--scan", 10, "--cloud-ms", 2], "neither --edge-ms nor --time"), (["--edge-ms", 3], "requires --scan"),
                        (["--scan", "nan", "--cloud-ms", 2], "expected 0.001 to 1000000, found nan")):
        describe.refuses(f"{wrong}", ["cifar10_resnet20", *wrong], said)
    done("layer scans")


def times(describe):
    for threads in (1, 2):
        document = describe.document("cifar10_resnet20", "--time", "--runs", 5, "--threads", threads)
        t, stages = document["times"], document["stages"]
        check(t["label"] == "measured" and t["unit"] == "milliseconds" and t["runs"] == 5 and t["threads"] == threads and t["machine"] and t["instruction_set"]
              and t["weights"] == "random weights of seed 1" and t["weight_bytes"] > 4 * document["parameters"] and t["weight_bytes"] % 64 == 0, f"times are labelled: {t}")
        for s in stages + [{"milliseconds": t["whole"]}]:
            m = s["milliseconds"]
            check(0 < m["p10"] <= m["median"] <= m["p90"] < 60_000, f"median between its spread: {m}")
        check(abs(sum(s["share_of_time"] for s in stages) - 1) < 1e-9, "shares of time add up")
    code, table, _ = describe.run("cifar10_resnet20", "--time", "--runs", 3, "--seed", 7)
    check(code == 0 and "times measured, 3 runs on 1 thread of" in table and "random weights of seed 7" in table and "median ms" in table, "the table labels its times")
    code, out, said = describe.run("cifar10_resnet20", "--time", "--runs", 1, "--format", "json")
    check(code == 0 and json.loads(out)["macs"] > 0 and "times measured" in said, "with --format json the times go to standard error")
    check("times" not in describe.document("cifar10_resnet20") and "milliseconds" not in describe.document("cifar10_resnet20")["stages"][0], "nothing is timed unasked")
    done("times per stage")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--plant", action="store_true")
    options = parser.parse_args()
    describe = Describe(options.program, options.plant)
    refusals(describe)
    networks = names(describe)
    for name in networks:
        graph = formats(describe, name)
        sums(describe, name, graph, describe.document(name))
    done("every network's sums")
    pictures(describe)
    claims(describe, networks)
    scans(describe)
    times(describe)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
