# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""examples/three_tiers: robot, factory and datacentre as three processes over TCP, with the impairment relay on both links.

    live      the datacentre's link stalls, then the radio does: every frame answered, right, in time, by whoever is left
    kill      the same with the datacentre's process killed and started again
    apart     the three started one by one, without a relay
    choice    two factories, of which one is killed in the middle: the other has the frames from then on
    refusals  what does not fit ends with one sentence
"""
import argparse
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading

# A busy machine's reserves leave time for the tiers above.
FRAMES, DEADLINE = 48, 200
failures = 0


def check(holds, what):
    global failures
    if not holds:
        failures += 1
        print(f"FAILED: {what}")


def inspect(program, *options, frames=FRAMES):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "report.json"
        ran = subprocess.run([program, "--frames", str(frames), "--deadline", str(DEADLINE), *options, "--json", str(out)], capture_output=True, text=True, timeout=300)
        print(ran.stdout, ran.stderr, sep="")
        check(ran.returncode == 0, f"exit status 0 was expected, found {ran.returncode}")
        return json.loads(out.read_text())


def check_promise(report, frames=FRAMES):
    check(len(report["frames"]) == frames and all(f["source"] != "none" for f in report["frames"]), f"{frames} answered frames were expected")
    check(report["different"] == 0, f"{report['different']} answers differ from the network in one piece")
    # A host that stops the process is told apart by the canary; a promise is broken only without it.
    check(report["misses"] == report["host_stalls"], f"{report['misses']} misses, but {report['host_stalls']} host stalls")
    check(report["covered_misses"] == 0, f"{report['covered_misses']} covered misses")


def disturbed(program, *options):
    report = inspect(program, *options)
    check_promise(report)
    by = [[f["by"] for f in report["frames"] if f["quarter"] == q] for q in range(4)]
    check("datacentre" in by[0], f"with every link there, the datacentre answers: {by[0]}")
    check({"datacentre", "factory"} & set(by[3]), f"once the radio is back, a tier above answers again: {by[3]}")
    check("datacentre" not in by[1] and "factory" in by[1], f"without a datacentre the factory answers: {by[1]}")
    check(not {"datacentre", "factory"} & set(by[2]) and "robot" in by[2], f"without a radio the robot answers: {by[2]}")
    factory, tiers = report["factory"], [f["tier"] for f in report["frames"]]
    check(factory["datacentre"] >= tiers.count(2) and factory["here"] + factory["fallback"] >= tiers.count(1), f"who answered, by the robot {tiers} and by the factory {factory}")


def live(program):
    disturbed(program)


def kill(program):
    disturbed(program, "--kill")


def served(program, *options):
    process = subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().split()[-1]


def ended(process):
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0]
    check(process.returncode == 0, f"a server that is told to end: {process.returncode}")
    return said


def apart(program):
    datacentre, top = served(program, "--serve-datacentre", "0", "--seed", "4")
    factory, middle = served(program, "--serve-factory", "0", "--next", f"127.0.0.1:{top}", "--seed", "4", "--deadline", str(DEADLINE))
    report = inspect(program, "--connect", f"127.0.0.1:{middle}", "--seed", "4", frames=20)
    check_promise(report, 20)
    check({1, 2} & {f["tier"] for f in report["frames"]}, "a tier above answered")
    check(report["factory"] is None, f"what a factory of somebody else's counted is not known: {report['factory']}")
    refused = subprocess.run([program, "--frames", "20", "--connect", f"127.0.0.1:{middle}", "--seed", "5"], capture_output=True, text=True, timeout=60)
    check(refused.returncode == 2 and "weights digest" in refused.stderr, f"a factory with other weights: {refused.returncode} {refused.stderr!r}")
    said = ended(factory).split()
    check(int(said[said.index("requests") + 1]) > 0, f"the factory's counts: {said}")
    said = ended(datacentre).split()
    check(said[0] == "requests", f"the datacentre's counts: {said}")


def choice(program):
    datacentre, top = served(program, "--serve-datacentre", "0", "--seed", "4")
    factories = [served(program, "--serve-factory", "0", "--next", f"127.0.0.1:{top}", "--seed", "4", "--deadline", str(DEADLINE)) for _ in range(2)]
    where = [option for _, port in factories for option in ("--connect", f"127.0.0.1:{port}")]
    kill_one = threading.Timer(6, factories[0][0].kill)
    kill_one.start()
    report = inspect(program, *where, "--seed", "4", frames=60)
    kill_one.join()
    factories[0][0].wait()
    check_promise(report, 60)
    asked = [f["server"] for f in report["frames"] if f["tier"] > 0]
    check(asked[-10:] == [1] * 10, f"the factory that is left answers: {asked}")
    ended(factories[1][0])
    ended(datacentre)


def refusals(program):
    for options, sentence in ((["--connect", "nowhere"], "--connect: expected HOST:PORT"), (["--serve-factory", "0", "--next", "nowhere"], "--next: expected HOST:PORT"),
                              (["--serve-factory", "0"], "--serve-factory requires --next"), (["--next", "a:1"], "--next requires --serve-factory"), (["--bind", "::1"], "--bind"),
                              (["--serve-datacentre", "70000"], "--serve-datacentre"), (["--frames", "3"], "--frames"), (["--json", "/no/such/folder/report.json"], "cannot be written")):
        ran = subprocess.run([program, *options], capture_output=True, text=True, timeout=60)
        check(ran.returncode not in (0, 1) and ran.returncode > 0, f"{options}: an exit status above 1 was expected, found {ran.returncode}")
        check(sentence in ran.stderr and len(ran.stderr.strip().splitlines()) == 1, f"{options}: {ran.stderr!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    tests = {"live": live, "kill": kill, "apart": apart, "choice": choice, "refusals": refusals}
    parser.add_argument("test", choices=list(tests))
    a = parser.parse_args()
    tests[a.test](a.program)
    sys.exit(failures > 0)


main()
