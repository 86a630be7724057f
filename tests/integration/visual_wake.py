# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""examples/visual_wake: FLEET live with the cloud in a second process, and the same pictures with the device's exits alone.

    live      a folder of pictures: every frame answered in time, and as the network in one piece answers; times, bytes, counts, report page;
              and the same frames in the simulator: the same decisions, the same mean latency
    policies  every policy for a few frames: it runs, it is never without an answer, and where it sends the cloud answers
    refusals  wrong options and inputs end with one sentence

The pictures are coloured blocks: what the network calls them means nothing, how sure it is of them differs.
"""
import argparse
import html.parser
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import zipfile
import zlib

from png_file import png_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import data_folder  # noqa: E402

FRAMES = 14
# Multiplications of the seven layers, and of the exits behind the first six (zoo::fleet_cifar_resnet<2>).
LAYERS = [110592, 1179648, 1179648, 884736, 1179648, 884736, 1180288]
EXITS = [2560, 2560, 2560, 1280, 1280, 2560]
M33 = 32e6
SLACK = 150         # ms that a busy machine may add; the deadline is 670
FAST = ["--device", "cortex_a77_1500mhz", "--ble", "none"]
failures = 0


def check(holds, what):
    global failures
    if not holds:
        failures += 1
        print(f"FAILED: {what}")


def png(seed):
    draw = random.Random(seed)
    cell = draw.choice((4, 8, 16))
    colours = {(y, x): bytes(draw.randrange(256) for _ in range(3)) for y in range(0, 32, cell) for x in range(0, 32, cell)}
    rows = b"".join(b"\0" + b"".join(colours[y // cell * cell, x // cell * cell] for x in range(32)) for y in range(32))
    return png_file(32, 32, 8, 2, zlib.compress(rows))


def run(program, folder, *options, within=120):
    document = folder / "wake.json"
    ran = subprocess.run([program, *map(str, options), "--json", str(document)], capture_output=True, text=True, timeout=within)
    print(ran.stdout, ran.stderr, sep="")
    check(ran.returncode == 0, f"exit status 0 was expected, found {ran.returncode}")
    return json.loads(document.read_text(encoding="utf-8"))


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.ids = [], set()
        self.feed(text)
        check(not self.open, f"the page leaves {self.open} open")

    def handle_starttag(self, tag, attrs):
        check(tag not in ("script", "iframe", "img", "object", "form"), f"the page has a {tag}")
        for name, value in attrs:
            check(not name.startswith("on") and (name not in ("src", "href") or value.startswith("data:")), f"the page asks for {name}={value}")
            if name == "id":
                self.ids.add(value)
        if tag not in ("meta", "link", "br") and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("path", "rect", "meta", "link", "br"):
            check(self.open and self.open.pop() == tag, f"</{tag}> closes something else")


def check_policy(report, name, frames, wide=False):
    p, listed = report["policies"][name], report["frame_list"][name]
    check(p["frames"] == len(listed) == frames, f"{name}: {frames} frames were expected")
    check(p["misses"] == 0, f"{name}: {p['misses']} misses")      # where the host stood still is counted apart
    check(sum(p["answered_by"].values()) == frames, f"{name}: every frame has one source")
    own = [f for f in listed if f["answered_by"] not in ("held", "preset")]
    check(p["compared"] == len(own) and len(own) + p["host_stalls"] >= frames and p["different"] == 0, f"{name}: {p['compared']} of {len(own)} answers compared, {p['different']} different")
    check(abs(p["mean_latency_ms"] - sum(f["latency_ms"] for f in listed) / frames) < 1e-6 and p["p50_latency_ms"] <= p["p99_latency_ms"] <= p["max_latency_ms"], f"{name}: its latencies")
    check(p["label"] == "measured", f"{name} is measured")
    whole = [q["whole_network"] for q in report["picture_list"]]
    check(wide or all(f["class"] == whole[f["picture"]] for f in listed if f["answered_by"] == "trunk"), f"{name}: the trunk says what the whole network says")
    return p, listed


def unlikeness(report, name, most_robbed=0.5):
    """What speaks against 98 % the same decisions (or all but one) and a mean within 10 %; frames during which a hypervisor took processor time count apart."""
    s, listed = report["policies"][name]["simulated"], report["frame_list"][name]
    check(s["frames"] + s["robbed_frames"] == len(listed) and s["robbed_frames"] == sum(f["robbed"] for f in listed), f"{name}: {s}")
    kept = [f for f in listed if not f["robbed"]]
    inputs = name in ("cascade", "jpeg25", "jpeg75", "raw")     # a whole picture has no exit in the cloud, only an encoding

    def same(a, b):
        return a == b or (inputs and a.startswith("cloud") and b.startswith("cloud"))
    check(all(f["simulated"]["same_decision"] == same(f["simulated"]["answered_by"], f["answered_by"]) for f in kept), f"{name}: what is called the same decision is one")
    if len(kept) < (1 - most_robbed) * len(listed):
        print(f"{name}: a hypervisor took time in {s['robbed_frames']} of {len(listed)} frames: too few are left to compare")
        return []
    different = [f for f in kept if not f["simulated"]["same_decision"]]
    found = []
    if len(different) > max(0.02 * len(kept), 1):
        found.append(f"{name}: {len(different)} of {len(kept)} live frames decided otherwise than simulated: {different}")
    if abs(s["latency_ratio"] - 1) > 0.1:
        found.append(f"{name}: {s['live_mean_latency_ms']:.1f} ms live, {s['mean_latency_ms']:.1f} ms simulated")
    return found


POLICIES = ["fleet", "fleet_wide", "fleet_by_benefit", "improved", "local_early_exit", "branchynet", "shallow_deep", "ensemble", "neurosurgeon", "clio", "cascade",
            "jpeg25", "jpeg75", "raw", "all_edge"]
SENDING = {"fleet": "cloud", "fleet_wide": "cloud", "fleet_by_benefit": "cloud", "improved": "cloud", "neurosurgeon": "cloud", "clio": "cloud", "cascade": "cloud",
           "jpeg25": "cloud", "jpeg75": "cloud", "raw": "cloud"}


def policies(program):
    full = os.environ.get("SPLITDSL_TEST_FULL", "") not in ("", "0")
    frames, aside = (500, 1000) if full else (4, 12)
    made_up = []
    for option, file in (("--wide-weights", "fleet_cifar_resnet14_wide"), ("--clio-weights", "clio_cifar_resnet14")):
        if not pathlib.Path(f"out/fleet/{file}.safetensors").exists():      # they are not part of the project
            print(f"the weights of {option} are not here: untrained ones stand for them")
            made_up += [option, "made-up"]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        pictures = ["--pictures", *data_folder.find("cifar10/test.zip")] if full else []
        pictures += made_up
        for interval in ("7.5", "30", "60") if full else ("7.5",):
            report = run(program, folder, *pictures, "--frames", frames, "--calibrate", aside, "--accuracy", 0.8 if full else 0.5, "--ble", f"interval={interval},packets=4",
                         "--device", "cortex_m33_64mhz" if full else "cortex_a77_200mhz", "--compare", "--policy", *POLICIES, within=7200)
            check(list(report["policies"])[:len(POLICIES)] == POLICIES, f"{list(report['policies'])}")
            for policy in POLICIES:
                p, listed = check_policy(report, policy, frames, wide=policy in ("fleet_wide", "improved", "shallow_deep", "neurosurgeon", "clio"))
                check(p["unanswered"] == 0, f"{policy}: {p['unanswered']} frames without an answer of their own")
                if policy in SENDING:
                    check(any(f["bytes_up"] > 0 for f in listed) or policy in ("fleet_by_benefit", "improved", "neurosurgeon", "cascade"), f"{policy} sent nothing")
                else:
                    check(p["bytes_up"] == 0 and not any(k.startswith("cloud") for k in p["answered_by"]), f"{policy}: it sends nothing, found {p['answered_by']}")
                if policy in ("jpeg25", "jpeg75", "raw", "clio"):
                    check(any(k.startswith("cloud") for k in p["answered_by"]), f"{policy}: the cloud answers, found {p['answered_by']}")
                if policy == "clio":        # of whole widths: four of them, and no stream before
                    check(all(f["sizes"][0] == 0 and f["answered_by"] == f"cloud{f['sizes'][1]}" and 1 <= f["sizes"][1] <= 4 for f in listed if f["answered_by"].startswith("cloud")), f"clio: {listed}")
                if full:
                    found = unlikeness(report, policy, 1)
                    check(not found, found)


def live(program):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for k in range(FRAMES):
            place = folder / "pictures" / ("unsorted" if k == 3 else "cat" if k == 4 else str(k % 10)) / f"{k:02}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(png(k))
        page = folder / "wake.html"
        report = run(program, folder, "--pictures", folder / "pictures", "--frames", FRAMES, "--ble", "interval=15,packets=4", "--threshold", 0.4, "--local-threshold", 0.5, "--compare", "--report", page)

        check(report["pictures"] == {"origin": str(folder / "pictures"), "made_up": False, "found": FRAMES, "shown": FRAMES, "labelled": FRAMES - 1}, f"the pictures are {report['pictures']}")
        labels = {pathlib.Path(p["name"]).stem: p["class"] for p in report["picture_list"]}
        check(labels["03"] is None and labels["04"] == 3 and labels["12"] == 2, f"labels by folders: {labels}")
        check(report["device"]["label"] == "modelled" and abs(report["device"]["whole_network_ms"] - 1e3 * sum(LAYERS + EXITS) / M33) < 0.001, f"the device is {report['device']}")
        check("interval=15,packets=4" in report["ble"] and report["cap"] == "airtime" and report["connected"], f"the radio is {report['ble']}")

        fleet, sent = check_policy(report, "fleet", FRAMES)
        by_cloud = sum(n for who, n in fleet["answered_by"].items() if who.startswith("cloud"))
        check(by_cloud > 0 and all(who.startswith("cloud") or who == "trunk" for who in fleet["answered_by"]), f"FLEET was answered by {fleet['answered_by']}")
        check(fleet["bytes_up"] > 0 and all(f["bytes_up"] >= 48 + 16 for f in sent if f["answered_by"].startswith("cloud")), "what the cloud answered was sent")
        check(all(f["latency_ms"] < report["device"]["whole_network_ms"] + SLACK or f["host_stall"] for f in sent), "no frame waits for the cloud longer than for the device")
        cloud = report["cloud"]
        check(cloud["replies"] >= by_cloud and cloud["predictions"] == cloud["replies"] + cloud["unsure"] and 0 < cloud["frames"] <= FRAMES, f"the cloud counted {cloud}")

        alone, exits = check_policy(report, "local_early_exit", FRAMES)
        check(alone["bytes_up"] == 0 and all(who.startswith("local") or who == "trunk" for who in alone["answered_by"]), f"alone it was answered by {alone['answered_by']}")
        for f in exits:
            until = 7 if f["answered_by"] == "trunk" else int(f["answered_by"][5:])
            paced = 1e3 * (sum(LAYERS[:until]) + sum(EXITS[:until])) / M33
            check(paced <= f["latency_ms"] < paced + SLACK or f["host_stall"], f"{f['answered_by']} after {f['latency_ms']:.1f} ms, paced to {paced:.1f}")

        # A thread that a crowded machine lets run a millisecond late misses an event. What lies in the code differs every time.
        found = unlikeness(report, "fleet") + unlikeness(report, "local_early_exit")
        for again in range(3):
            if not found:
                break
            print(*found, f"once more, {again + 1}", sep="\n")
            other = run(program, folder, "--pictures", folder / "pictures", "--frames", FRAMES, "--ble", "interval=15,packets=4", "--threshold", 0.4, "--local-threshold", 0.5, "--compare")
            found = unlikeness(other, "fleet") + unlikeness(other, "local_early_exit")
        check(not found, found)

        text = page.read_text(encoding="utf-8")
        check({"comparison", "latency", "distribution", "terms"} <= Page(text).ids and "measured" in text and "modelled" in text and "://" not in text, "the page is whole and asks for nothing")

        # An archive with labels in a csv; and no pictures at all.
        with zipfile.ZipFile(folder / "some.zip", "w") as archive:
            for k in range(5):
                archive.writestr(f"shots/{k}.png", png(k))
            archive.writestr("notes.txt", "no picture")
        (folder / "some.csv").write_text("file,label\nshots/1.png,dog\r\n\"4.png\",9\n", encoding="utf-8")
        zipped = run(program, folder, "--pictures", folder / "some.zip", "--labels", folder / "some.csv", "--frames", 12, *FAST)
        check(zipped["pictures"]["found"] == 5 and [p["class"] for p in zipped["picture_list"]] == [None, 5, None, None, 9], f"labels out of a csv: {zipped['picture_list']}")
        check_policy(zipped, "fleet", 12)       # pictures come again
        invented = run(program, folder, "--frames", 2, *FAST)
        check(invented["pictures"]["made_up"] and invented["policies"]["fleet"]["accuracy"] is None and invented["ble"] is None, "made-up pictures have no right answer")


def refusals(program):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "empty").mkdir()
        (folder / "text.png").write_text("no picture", encoding="utf-8")
        (folder / "good.png").write_bytes(png(1))
        (folder / "bad.csv").write_text("good.png,cow\n", encoding="utf-8")
        (folder / "other.csv").write_text("other.png,cat\n", encoding="utf-8")
        (folder / "thresholds.json").write_text('{"policies": {"fleet": {"threshold": 0.5}}}', encoding="utf-8")
        with zipfile.ZipFile(folder / "some.zip", "w") as archive:
            archive.write(folder / "text.png", "text.png")
        good = ["--pictures", folder / "good.png"]
        for options, sentence in ((["--pictures", folder / "missing.png"], "missing.png: no such file"), (["--pictures", folder / "text.png"], "text.png: neither JPEG nor PNG"),
                                  (["--pictures", folder / "some.zip"], "some.zip, text.png: neither JPEG nor PNG"),
                                  (["--pictures", folder / "empty"], "JPEG or PNG pictures were expected in it, found none"), ([*good, "--labels", folder / "bad.csv"], "line 1: expected FILE,CLASS"),
                                  ([*good, "--labels", folder / "other.csv"], "none of the pictures is in it"), ([*good, "--labels", folder], "a readable file of at most 64 MiB was expected"),
                                  (["--labels", folder / "other.csv"], "--labels requires --pictures"), (["--ble", "interval=16"], "--ble: expected"), (["--ble", "often"], "--ble: expected key=value"),
                                  (["--device", "abacus"], "abacus"), (["--device", "tx2"], "macs_per_second"), (["--frames", "0"], "--frames"), (["--deadline", "100"], "--deadline 100"),
                                  (["--weights", folder / "good.png"], "good.png"), (["--thresholds", folder / "thresholds.json"], 'none for "exits of fleet, top-1"'),
                                  (["--thresholds", folder / "good.png"], "--thresholds"), (["--connect", "nowhere"], "--connect: expected HOST:PORT"),
                                  (["--accuracy", "0.7"], "--accuracy requires --calibrate"), (["--serve", "0", "--frames", "3"], "--frames excludes --serve"), (["--connect", "127.0.0.1:1"], "--connect 127.0.0.1:1: "), (["--policy", "guess"], "--policy guess: expected one of fleet, "),
                                  (["--policy", "fleet", "fleet"], "expected each policy once"), (["--policy", "improved"], "expected --calibrate beside it"), (["--policy", "neurosurgeon", "--wide-weights", folder / "none"], "tools/train_fleet_wide.py export makes"), (["--policy", "clio", "--clio-weights", folder / "none"], "tools/train_fleet.py export --recipe partition makes"),
                                  (["--compare", "--ble", "none"], "--compare: expected connection events"), ([*good, "--calibrate", "3", "--frames", "1"], "--calibrate 3: expected that many pictures"), (["--json", folder / "no" / "x.json"], "cannot be written"), (["--report", folder], "--report")):
            ran = subprocess.run([program, *map(str, options)], capture_output=True, text=True, timeout=60)
            check(ran.returncode == 2, f"{options}: exit status 2 was expected, found {ran.returncode}")
            check(sentence in ran.stderr and ran.stderr.startswith("visual_wake: ") and ran.stderr.count("\n") == 1, f"{options}: {ran.stderr!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("test", choices=["live", "policies", "refusals"])
    a = parser.parse_args()
    {"live": live, "policies": policies, "refusals": refusals}[a.test](a.program)
    sys.exit(failures > 0)


main()
