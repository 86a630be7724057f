#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""What every program does with its options: files on a full disk, numbers out of range, options that do not go together, exit statuses.

    options.py NAME=PATH...      drive=build/release/examples/drive ...; detect and segment have theirs in detect_segment.py

Nothing here takes longer than the cheapest run of a program.
"""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

from full_disk import FULL_DISK

ROOT = pathlib.Path(__file__).resolve().parents[2]
problems = []


def check(right, what):
    print(("ok      " if right else "WRONG   ") + what, flush=True)
    if not right:
        problems.append(what)


def run(program, *words, full=False, timeout=120):
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT, stdin=subprocess.DEVNULL,
                          **(FULL_DISK if full else {}))
    return done.returncode, done.stdout, done.stderr


def refuses(name, program, words, *parts, code=2, full=False):
    got, _, said = run(program, *words, full=full)
    said = "".join(line for line in said.splitlines(True) if not line.startswith(("three_cameras: frames are not covered", "three_cameras: no cloud within", "three_tiers: frames are not covered")))
    check(got == code and all(str(part) in said for part in parts) and said.count("\n") == 1, f"{name} {' '.join(map(str, words))[:120]}: status {got}: {said.strip()[:300]}")


def full_disk(name, program, option, words, target, written=None):
    """`option TARGET` behind `words`; `written`: the file that this means, if another."""
    written = written or target
    refuses(name, program, [*words, *([option] if option.startswith("-") else []), target], f"{option} {written}: cannot be written: File too large", code=1, full=True)
    check(not written.exists() and not pathlib.Path(f"{written}.part").exists(), f"{name} {option}: nothing is left of the file")


def files(programs, folder):
    cifar = "examples/sim/m33_cifar.toml"
    quick_drive = ["--simulate", "--no-road", "--frames", 10, "--policies", "all_edge"]
    runs = {"splitdsl-relay": [("--json", ["--to", "127.0.0.1:9", "--seconds", 0.01, "--quiet"]), ("--port-file", ["--to", "127.0.0.1:9", "--quiet"])],
            "splitdsl-sim": [(option, [cifar, "--frames", 5, "--quiet"]) for option in ("--json", "--svg", "--save-answers")],
            "splitdsl-describe": [("--json", ["cifar10_resnet20"])],
            "drive": [("--json", [*quick_drive, "--out", folder / "drive"])],
            "drive_dataset": [("file", ["--frames", 1])],
            "three_cameras": [("--json", ["--frames", 20, "--deadline", 100, "--blackout", 0])],
            "three_tiers": [("--json", ["--frames", 20, "--deadline", 30])],
            "visual_wake": [(option, ["--frames", 1, "--device", "cortex_a77_1500mhz", "--ble", "none"]) for option in ("--json", "--report")],
            "bench_policy": [("--json", ["--batches", 1])],
            "bench_dynamic_pool": [("--json", ["--no-speed"])]}
    if "bench_payload" in programs:
        refuses("bench_payload", programs["bench_payload"], ["--only", "nothing"], '--only: expected a part of a row\'s name, found "nothing"')
    (folder / "circle").symlink_to("circle")
    for name, cases in runs.items():
        for option, words in cases if name in programs else []:
            full_disk(name, programs[name], option, words, folder / f"{name}{option}.json")
            if option.startswith("--"):
                refuses(name, programs[name], [*words, option, folder / "circle"], f"{option} {folder / 'circle'}: cannot be written: its symbolic links lead in a circle")
    if "drive" in programs:
        full_disk("drive", programs["drive"], "--out", quick_drive, folder / "drive", folder / "drive" / "report.json")
        for words, said in ((["--frames-csv", folder], f"--frames-csv {folder}: cannot be written: Is a directory"),
                            (["--json", folder / "drive_is_a_file" / "x.json"], f"--json {folder / 'drive_is_a_file' / 'x.json'}: cannot be written: Not a directory"),
                            (["--out", folder / "drive_is_a_file"], "--out")):
            (folder / "drive_is_a_file").write_text("", encoding="utf-8")
            refuses("drive", programs["drive"], [*quick_drive, "--out", folder / "drive", *words] if words[0] != "--out" else [*quick_drive, *words], said)
    one = folder / "one.json"                    # two results in one file: one of them would be lost
    for name, words, options in (("splitdsl-sim", [cifar, "--frames", 5, "--quiet"], ("--json", "--svg")), ("visual_wake", ["--frames", 1], ("--json", "--report")),
                                 ("splitdsl-relay", ["--to", "127.0.0.1:9", "--seconds", 0.01, "--quiet"], ("--json", "--port-file"))):
        if name in programs:
            refuses(name, programs[name], [*words, options[0], one, options[1], folder / ".." / folder.name / "one.json"], f"{options[0]} {one}: another file than that of {options[1]}")
            check(not one.exists(), f"{name}: nothing is left of the file")
    if "drive" in programs:
        drive, out = programs["drive"], folder / "drive"
        for words, said in ((["--json", one, "--frames-csv", one], f"--json {one}: another file than that of --frames-csv"),
                            (["--json", out / "report.html"], f"--json {out / 'report.html'}: another file than that of --out"),
                            (["--frames-csv", out / ".." / "drive" / "report.json"], f"report.json: another file than that of --out"),
                            (["--json", folder / "nowhere" / "x.json"], "x.json: cannot be written: No such file or directory")):
            refuses("drive", drive, [*quick_drive, "--out", out, *words], said)
        check(not one.exists() and not (folder / "nowhere").exists(), "drive: nothing is left of the file, and no folder was made for it")
    read = folder / "read.zip"                   # a result never replaces what is read, by whatever name
    scenario = folder / "scenario.toml"
    read.write_text("as it was", encoding="utf-8")
    scenario.write_text((ROOT / cifar).read_text(encoding="utf-8").replace('"../', f'"{(ROOT / cifar).parent.parent.as_posix()}/'), encoding="utf-8")
    (folder / "other_name.zip").hardlink_to(read)
    (folder / "a_link.zip").symlink_to(read)
    for name, words, option, file in (("splitdsl-calibrate", ["--model", "mobilenet_v2_tf", "--weights", "none", read], "--out", read), ("splitdsl-calibrate", ["--model", "mobilenet_v2_tf_split", "--weights", "none", "--out", folder / "new", read], "--json", read),
                                      ("classify", ["--model", "mobilenet_v2_tf", "--weights", "none", read], "--json", read), ("splitdsl-describe", ["cifar10_resnet20", "--time", "--weights", read], "--json", read),
                                      ("visual_wake", ["--pictures", read], "--report", read), ("drive", ["--out", folder / "drive", "--trace", read], "--frames-csv", read), ("splitdsl-sim", [scenario], "--svg", scenario)):
        for place in (file, folder / "other_name.zip", folder / "a_link.zip") if file == read else (file,):
            if name in programs:
                before = file.read_bytes()
                refuses(name, programs[name], [*words, option, place], f"{option} {place}: another file than {file} was expected, which is read")
                check(file.read_bytes() == before, f"{name} {option}: the file that is read is as it was")
    if "splitdsl-relay" in programs:
        relay, words = programs["splitdsl-relay"], ["--to", "127.0.0.1:9", "--seconds", 0.01, "--quiet", "--json"]
        kept = folder / "kept.json"
        kept.write_text("as it was", encoding="utf-8")
        refuses("splitdsl-relay", relay, [*words, kept], f"--json {kept}: cannot be written", code=1, full=True)
        check(kept.read_text(encoding="utf-8") == "as it was", "a full disk leaves the file that was there")
        code, out, said = run(relay, *words, "/dev/stdout", full=True)
        check(code == 0 and json.loads(out)["label"] == "measured", f"a report to /dev/stdout, which is a pipe: {code} {said}")
        os.mkfifo(folder / "fifo")
        with subprocess.Popen(["cat", folder / "fifo"], stdout=subprocess.PIPE, text=True) as reader:
            code, _, said = run(relay, *words, folder / "fifo")
            check(code == 0 and json.loads(reader.communicate(timeout=60)[0])["label"] == "measured" and (folder / "fifo").is_fifo(), f"a report into a FIFO: {code} {said}")
        (folder / "link.json").symlink_to(kept)
        code, _, said = run(relay, *words, folder / "link.json")
        check(code == 0 and (folder / "link.json").is_symlink() and json.loads(kept.read_text(encoding="utf-8"))["label"] == "measured", f"a link is written through: {code} {said}")


def inputs(programs, folder):
    """Whatever stands where a file is to be read is refused in one sentence; nothing is waited for, and nothing is made."""
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "waits")
    (folder / "empty").write_text("", encoding="utf-8")
    (folder / "pixel.png").write_bytes(b"not looked at")
    stands = {folder / "loop": "found symbolic links that lead in a circle", folder / "waits": "found no ordinary file", "/dev/zero": "found no ordinary file",
              folder: "found a folder", folder / "missing": "no such file", folder / "empty": ""}
    none = folder / "none"
    reads = {"splitdsl-relay": [["--to", "127.0.0.1:9", "--seconds", 0.01, "--trace"]],
             "splitdsl-sim": [[]],
             "splitdsl-describe": [["cifar10_resnet20", "--picture"], ["cifar10_resnet20", "--time", "--weights"]],
             "drive": [["--simulate", "--no-road", "--frames", 10, "--out", none, option] for option in ("--trace", "--scenario")],
             "three_cameras": [["--profiles"]],
             "visual_wake": [["--thresholds"], ["--profiles"], ["--pictures", folder / "pixel.png", "--labels"]]}
    for name, cases in reads.items():
        for words in cases if name in programs else []:
            for path, said in stands.items():
                if not (words[-1:] == ["--labels"] and said == ""):             # nothing is known of any picture: a sentence of its own
                    refuses(name, programs[name], [*words, path], str(path), said)
    if "drive" in programs:
        check(not none.exists(), "drive: a run with which nothing was done leaves no folder")
        code, _, said = run(programs["drive"], "--simulate", "--no-road", "--frames", 10, "--policies", "all_edge", "--out", none, "--frames-csv", none / "frames.csv")
        check(code == 0 and sorted(p.name for p in none.iterdir()) == ["frames.csv", "report.html", "report.json"], f"drive: a file beside the report, in a folder that was made: {code} {said}")


def numbers(programs):
    """Every option that takes a floating-point number says which, and takes no other."""
    needed = {"splitdsl-relay": ["--to", "127.0.0.1:9"], "splitdsl-sim": ["x.toml"], "splitdsl-describe": ["x"],
              "splitdsl-calibrate": ["--model", "mobilenet_v2_tf", "--weights", "x", "--out", "y", "z"]}
    found = 0
    for name, program in programs.items():
        code, text, _ = run(program, "--help")
        check(code == 0 and "Usage" in text, f"{name} --help: status {code}")
        code, version, said = run(program, "--version")
        check(code == 0 and re.fullmatch(rf"{name} of splitdsl \d+\.\d+\.\d+\n", version) is not None and not said, f"{name} --version: status {code}: {version.strip()}")
        refuses(name, program, ["--no-such-option"], name, "not expected: --no-such-option")
        if "--json" in text:            # an unset variable of a shell
            refuses(name, program, [*needed.get(name, []), "--json", ""], "--json: a value was expected, found none")
        for option, least, most in re.findall(r"(--[a-z-]+) FLOAT(?::(\S+) to ([^\s=]+))?", text):
            found += 1
            for value in ("nan", "inf", "1e308", "-1e300", "x"):
                refuses(name, program, [*needed.get(name, []), f"{option}={value}"], f"{option}: expected {least} to {most}, found {value}")
            check(least and float(most) <= 1e10 and "e" not in most, f"{name} {option}: from {least} to {most}")
        for option in re.findall(r"(--[a-z-]*seed) UINT", text):
            refuses(name, program, [*needed.get(name, []), f"{option}=-1"], f"{option}: expected a whole number of at least 0, found -1")
            refuses(name, program, [*needed.get(name, []), f"{option}={1 << 64}"], f"{option}: expected a whole number of at least 0 and at most ", f"found {1 << 64}")
    if "splitdsl-calibrate" in programs:
        for option in ("--shift-pictures", "--budget"):
            refuses("splitdsl-calibrate", programs["splitdsl-calibrate"], ["--model", "mobilenet_v2_tf_split", "--weights", "none", "--out", "none", option, 1, "none"], f"{option}: expected a --model without calibrated codecs")
    for option, script, said in (("--fault", "delay_step:1:1e300:1", "fault"), ("--fault", "delay_step:1:2:1e300", "fault"), ("--fault", "delay_step:1:2", "expected a parameter"),
                                 ("--blackout", "nan:3", "expected START:LENGTH in seconds, a start of at least 0 and a length above 0, found nan:3"), ("--blackout", "3:0", "found 3:0"), ("--blackout", "3:1:1", "found 3:1:1"),
                                 ("--connections", "0", "expected 1 to 1024, found 0")):
        if "splitdsl-relay" in programs:
            refuses("splitdsl-relay", programs["splitdsl-relay"], [*needed["splitdsl-relay"], option, script], f"{option}: ", said, "expected")
    check(found >= 8 or "splitdsl-relay" not in programs, f"{found} options with floating-point numbers")


def together(programs):
    excluded = {"classify": [["--serve", 0, "--split", "features5"], ["--serve", 0, "--connect", "a:1"], ["--serve", 0, "--json", "x.json"], ["--serve", 0, "--cuts"], ["--cuts", "a.jpg"]],
                "drive": [["--serve", 0, "--simulate"], ["--simulate", "--seeds", 1, "--seed", 2], ["--profile", "--self-test"], ["--simulate", "--seeds", 1, "--frames-csv", "x.csv"],
                          ["--simulate", "--real-time", 5], ["--serve", 0, "--frames", 20], ["--serve", 0, "--trace", "x.csv"]],
                "three_cameras": [["--serve", 0, "--connect", "a:1"], ["--serve", 0, "--json", "x.json"], ["--serve", 0, "--rate", 5]],
                "three_tiers": [["--serve-datacentre", 0, "--connect", "a:1"], ["--serve-datacentre", 0, "--json", "x.json"], ["--connect", "a:1", "--kill"],
                                ["--serve-datacentre", 0, "--deadline", 50], ["--serve-factory", 0, "--next", "a:1", "--kill"]],
                "visual_wake": [["--serve", 0, "--connect", "a:1"], ["--serve", 0, "--json", "x.json"], ["--serve", 0, "--pictures", "x.png"], ["--thresholds", "x.json", "--threshold", 0.5]],
                "splitdsl-relay": [["--to", "a:1", "--trace", "x.csv", "--generate", 1], ["--to", "a:1", "--trace", "x.csv", "--rate-up", 3], ["--to", "a:1", "--generate", 1, "--rate-up", 3]],
                "splitdsl-sim": [["x.toml", "--benchmark", "--svg", "x.svg"]],
                "splitdsl-describe": [["squeezenet1_1", "--time", "--seed", 1, "--weights", "x"]]}
    needed = {"classify": [(["--gpu", 0], "--backend"), (["--precision", "f16"], "--backend"), (["--or-cpu"], "--backend"), (["--deadline", 1], "--split"), (["--patience", 1], "--split"), (["--bind", "::1"], "--serve")],
              "drive": [(["--seeds", 1], "--simulate"), (["--no-road"], "--simulate"), (["--bind", "::1"], "--serve")],
              "three_cameras": [(["--bind", "::1"], "--serve")],
              "three_tiers": [(["--next", "a:1"], "--serve-factory"), (["--serve-factory", 0], "--next")],
              "visual_wake": [(["--bind", "::1"], "--serve"), (["--labels", "x.csv"], "--pictures")],
              "splitdsl-relay": [(["--column", "x", "--to", "a:1"], "--trace"), (["--generate-seconds", 9, "--to", "a:1"], "--generate")],
              "splitdsl-describe": [(["--quality", 5, "squeezenet1_1"], "--picture"), (["--runs", 5, "squeezenet1_1"], "--time")]}
    for name, program in programs.items():
        for words in excluded.get(name, []):
            refuses(name, program, words, " excludes ")
        for words, missing in needed.get(name, []):
            refuses(name, program, words, f"{words[0]} requires {missing}")


def scenarios(drive, folder):
    good = json.loads((ROOT / "examples/drive/scenario.json").read_text(encoding="utf-8"))
    texts = {"none.json": "{\"device\": ", "list.json": "[1, 2]", "few.json": "{\"device\": \"nano\"}", "number.json": json.dumps({**good, "weights": 5}),
             "outage.json": json.dumps({**good, "trace": {**good["trace"], "outage_s": [1e300, 1e308]}}), "deadline.json": json.dumps({**good, "deadline_ms": "soon"})}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    for path in [*(folder / name for name in texts), folder, folder / "missing.json", "x" * 5000, folder / "few.json" / "x"]:
        refuses("drive", drive, ["--simulate", "--out", folder / "out", "--scenario", path], f"drive: --scenario {str(path)[:200]}")
        code, _, said = run(drive, "--simulate", "--out", folder / "out", "--scenario", path)
        check("exception" not in said and "filesystem error" not in said, f"drive --scenario: {said.strip()[:200]}")
    (folder / "back_late.json").write_text(json.dumps({**good, "blackouts": [], "kill": {"at": 0.5, "restart_after_s": 3600}}), encoding="utf-8")
    code, _, said = run(drive, "--scenario", folder / "back_late.json", "--frames", 10, "--policies", "sage", "--out", folder / "out")
    check(code == 0, f"a cloud that would come back after the drive keeps nobody waiting: {code} {said.strip()[:200]}")
    refuses("drive", drive, ["--simulate", "--policies", "sage,all_edge,sage", "--out", folder / "out"], "--policies: expected each policy once, found sage twice")
    code, out, said = run(drive, "--simulate", "--no-road", "--frames", 20, "--policies", "all_edge", "--out", folder / "out")
    check(code == 0 and "note: below 300 frames" in out, f"a short drive says that it is one: {code} {said}")


def interrupted(programs):
    """A cloud that is told to end does, and says what it counted."""
    for name in ("drive", "three_cameras"):
        for how in (signal.SIGTERM, signal.SIGINT) if name in programs else ():
            with subprocess.Popen([programs[name], "--serve", "0"], stdout=subprocess.PIPE, text=True, cwd=ROOT, preexec_fn=lambda: started_with(signal.SIG_DFL)) as server:
                port = server.stdout.readline()
                server.send_signal(how)
                said = server.communicate(timeout=60)[0]
            check(port.startswith("port ") and server.returncode == 0 and said == "requests 0 answered 0 shed 0\n", f"{name} --serve and {how.name}: status {server.returncode}: {said.strip()}")
    for name, words in (("three_tiers", ["--serve-datacentre", "0"]), ("splitdsl-relay", ["--to", "127.0.0.1:9"])):
        if name in programs:            # nohup: who logs out does not end it
            with subprocess.Popen([programs[name], *words], stdout=subprocess.PIPE, text=True, cwd=ROOT, preexec_fn=lambda: started_with(signal.SIG_IGN)) as server:
                server.stdout.readline()
                status = pathlib.Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8")
                held, ignored = (int(re.search(rf"{what}:\s*([0-9a-f]+)", status).group(1), 16) for what in ("SigBlk", "SigIgn"))
                bits = sum(1 << (one - 1) for one in (signal.SIGHUP, signal.SIGINT))
                server.terminate()
                server.communicate(timeout=60)
            check(ignored & bits == bits and held & bits == 0 and server.returncode == 0, f"{name}: what it was started to ignore stays ignored: blocked {held:x}, ignored {ignored:x}, status {server.returncode}")


def started_with(disposition):
    for one in (signal.SIGINT, signal.SIGHUP):
        signal.signal(one, disposition)


def streams(programs, folder):
    """Nobody reads what is printed: that is said, and results are written all the same. A closed stream gives its number to no file or socket."""
    sim = [programs.get("splitdsl-sim"), "examples/sim/m33_cifar.toml", "--frames", "5", "--json", folder / "unread.json"]
    if sim[0]:
        with subprocess.Popen([*map(str, sim)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as unread:
            unread.stdout.close()
            said = unread.stderr.read()
        check(unread.returncode == 1 and said.startswith("splitdsl-sim: standard output cannot be written") and said.count("\n") == 1 and json.loads((folder / "unread.json").read_text(encoding="utf-8")),
              f"splitdsl-sim --json | true: status {unread.returncode}: {said.strip()}")
    for name, words in (("splitdsl-sim", sim[1:]), ("splitdsl-describe", ["cifar10_resnet20", "--json", folder / "closed.json"])):
        if name in programs:
            done = subprocess.run([programs[name], *map(str, words)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=120, check=False, cwd=ROOT, preexec_fn=lambda: os.close(1))
            check(done.returncode == 1 and done.stderr.startswith(f"{name}: standard output cannot be written") and done.stderr.count("\n") == 1 and json.loads(pathlib.Path(words[-1]).read_text(encoding="utf-8")),
                  f"{name} >&-: status {done.returncode}: {done.stderr.strip()}")
    if "splitdsl-relay" in programs:
        port, report = folder / "port", folder / "closed.json"
        with subprocess.Popen([programs["splitdsl-relay"], "--to", "127.0.0.1:9", "--port-file", port, "--json", report], cwd=ROOT, close_fds=False, preexec_fn=lambda: os.closerange(0, 3)) as relay:
            while not port.exists() and relay.poll() is None:
                time.sleep(0.01)
            stand_in = [os.readlink(f"/proc/{relay.pid}/fd/{stream}") for stream in range(3)]
            relay.terminate()
        check(stand_in == ["/dev/null"] * 3 and json.loads(report.read_text(encoding="utf-8"))["connections"] == 0, f"splitdsl-relay <&- >&- 2>&-: its first descriptors are {stand_in}, status {relay.returncode}")


def addresses(programs):
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        print("no IPv6 here: addresses in brackets are left out")
        return
    for name, words in (("splitdsl-relay", ["--to", "127.0.0.1:9"]), ("drive", ["--serve", "0"]), ("three_cameras", ["--serve", "0"]), ("visual_wake", ["--serve", "0"])):
        if name in programs:
            with subprocess.Popen([programs[name], *words, "--bind", "[::1]"], stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
                line = server.stdout.readline()
                check(re.search(r"port [1-9]|listening on \[::1\]:[1-9]", line) is not None, f"{name} --bind [::1]: {line.strip()}")
                server.kill()


def main():
    programs = dict(word.split("=", 1) for word in sys.argv[1:])
    if "quick_start" in programs:       # on its own: it shows the library and nothing else
        quick_start = programs.pop("quick_start")
        code, _, said = run(quick_start, "--frames", "0")
        check(code == 2 and "--frames" in said, f"quick_start --frames 0: status {code}: {said.strip()}")
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([quick_start, "--frames", "2"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
        check(done.returncode == 1 and "standard output cannot be written" in done.stderr, f"quick_start > /dev/full: status {done.returncode}: {done.stderr.strip()}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        files(programs, folder)
        inputs(programs, folder)
        numbers(programs)
        together(programs)
        if "drive" in programs:
            scenarios(programs["drive"], folder)
        addresses(programs)
        interrupted(programs)
        streams(programs, folder)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
