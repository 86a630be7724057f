# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""examples/three_cameras, edge and cloud as two processes through the impairment relay.

    live      a drive with a blackout in the middle: every frame answered, right, in time; one request an offloaded frame
    threads   the same drive with one thread for the edge gives the same answers
    refusals  wrong options end with one sentence
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

BOTTLENECK = 3 * 20 * 48 + 8       # CarlaNet's at 88 x 200, a byte a value, scale and zero point
SIDE_INPUTS = [4, 1]               # speed and command are read behind the cut
HEADER = 48
FRAMES = 45
# A busy machine's reserve leaves time for the cloud, and its slowness does not change the policy's plan; what is tested depends on neither.
DRIVE = ["--frames", str(FRAMES), "--deadline", "300", "--seed", "3", "--radio", "wifi", "--cloud-gmacs", "40"]
failures = 0


def check(holds, what):
    global failures
    if not holds:
        failures += 1
        print(f"FAILED: {what}")


def drive(program, *options):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "report.json"
        ran = subprocess.run([program, *DRIVE, *options, "--json", str(out)], capture_output=True, text=True, timeout=300)
        print(ran.stdout, ran.stderr, sep="")
        check(ran.returncode == 0, f"exit status 0 was expected, found {ran.returncode}")
        return json.loads(out.read_text())


def check_promise(report):
    frames = report["frame_list"]
    check(report["frames"] == len(frames) == FRAMES, f"{FRAMES} frames were expected")
    check(sum(report["answered_by"].values()) == FRAMES, "every frame has one source")
    check(all(f["source"] != "none" for f in frames), "every frame is answered")
    # A host that stops the process is told apart by the canary; a promise is broken only without it.
    check(report["misses"] == report["host_stalls"], f"{report['misses']} misses, but {report['host_stalls']} host stalls")
    check(report["covered_misses"] == 0, f"{report['covered_misses']} covered misses")
    own = [f for f in frames if f["source"] in ("cloud", "edge", "fallback")]
    check(report["compared"] == len(own) > FRAMES // 2, f"{len(own)} own answers, {report['compared']} compared")
    check(report["different"] == 0, f"{report['different']} answers differ from the network in one piece")
    check(len({tuple(f["control"]) for f in own}) > FRAMES // 2, "the pictures differ, so do their answers")


def check_requests(report):
    check(report["request"] == {"header_bytes": HEADER, "payload_bytes": [BOTTLENECK] * 3 + SIDE_INPUTS}, f"the request is {report['request']}")
    offloaded = [f for f in report["frame_list"] if f["bytes_up"] > 0]
    check(all(f["bytes_up"] == HEADER + 3 * BOTTLENECK + sum(SIDE_INPUTS) for f in offloaded), "a request is a header, three payloads, speed and command")
    check(len(offloaded) == report["offloaded_frames"], f"{len(offloaded)} frames with a request, {report['offloaded_frames']} counted")
    check(report["answered_by"]["cloud"] > 0, "the cloud answered")
    lost = report["offloaded_frames"] - report["cloud"]["requests"]
    if report["connects"] == 1:     # the last frame's request may still be on its way when the edge ends, if it was answered here
        check(0 <= lost <= (report["frame_list"][-1]["source"] == "fallback"), f"{report['offloaded_frames']} offloaded frames, {report['cloud']['requests']} requests")
    else:                           # so may one of a connection that was reset
        check(lost >= 0, f"{report['offloaded_frames']} offloaded frames, {report['cloud']['requests']} requests")


def live(program):
    report = drive(program, "--blackout", "3")
    check_promise(report)
    check_requests(report)
    dark = [f for f in report["frame_list"] if f["in_blackout"]]
    check(len(dark) == report["blackout"]["frames"] > 5, f"{len(dark)} frames within the blackout")
    check(all(f["source"] != "cloud" for f in dark), "nothing comes through a blackout")
    check(any(f["source"] in ("edge", "fallback") for f in dark), "frames in the blackout are answered here")
    heads = report["heads"]
    check(heads["serial_ms"] > 0 and heads["parallel_ms"] > 0, "the heads were timed")
    print(f"heads: {heads}")


def threads(program):
    beside, alone = drive(program, "--blackout", "0"), drive(program, "--blackout", "0", "--serial")
    for report in (beside, alone):
        check_promise(report)
        check_requests(report)
    check(not beside["heads"]["serial"] and alone["heads"]["serial"], "one of both is serial")
    both = [(a["control"], b["control"]) for a, b in zip(beside["frame_list"], alone["frame_list"])
            if a["source"] in ("cloud", "edge", "fallback") and b["source"] in ("cloud", "edge", "fallback")]
    check(len(both) > FRAMES // 3 and all(a == b for a, b in both), "the answers do not depend on the threads")


def refusals(program):
    for options, sentence in ((["--blackout", "60"], "--frames 20 of 100 ms are a drive of 2 s: one at least ten frames longer than --blackout 60 s was expected"), (["--connect", "nowhere"], "--connect: expected HOST:PORT"), (["--radio", "semaphore", "--blackout", "0"], "semaphore"),
                              (["--device", "abacus", "--blackout", "0"], "abacus"),
                              (["--json", "/no/such/folder/report.json"], "cannot be written"), (["--frames", "3"], "--frames"), (["--serve", "70000"], "--serve")):
        ran = subprocess.run([program, "--frames", "20", *options] if "--frames" not in options else [program, *options], capture_output=True, text=True, timeout=60)
        check(ran.returncode not in (0, 1) and ran.returncode > 0, f"{options}: an exit status above 1 was expected, found {ran.returncode}")
        check(sentence in ran.stderr and len(ran.stderr.strip().splitlines()) <= 2, f"{options}: {ran.stderr!r}")
    with subprocess.Popen([program, "--serve", "0", "--seed", "2"], stdout=subprocess.PIPE, text=True) as cloud:
        port = cloud.stdout.readline().split()[-1]
        ran = subprocess.run([program, *DRIVE, "--blackout", "0", "--connect", f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=60)
        check(ran.returncode == 2 and "no cloud within 5 s: " in ran.stderr and "weights digest" in ran.stderr, f"a cloud with other weights: {ran.returncode} {ran.stderr!r}")
        cloud.terminate()
        check("requests 0 answered 0" in cloud.communicate(timeout=60)[0] and cloud.returncode == 0, f"a cloud that is told to end: {cloud.returncode}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("test", choices=["live", "threads", "refusals"])
    a = parser.parse_args()
    {"live": live, "threads": threads, "refusals": refusals}[a.test](a.program)
    sys.exit(failures > 0)


main()
