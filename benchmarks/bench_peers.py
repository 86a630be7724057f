#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""The zoo's networks and the papers' heads in splitdsl and in what one would pick instead, in one run; ratio = the peer's time / ours.

Peers: ONNX Runtime, OpenVINO, ncnn, MNN, LiteRT (XNNPACK), OpenCV's DNN module, and PyTorch four ways. Each runs in a process of its own
in the first Python found that has it: those of --python, this one, those on the path, /usr/bin/python3. What is missing is said and left
out. A Python with all of them:

    python3 -m venv peers && peers/bin/pip install onnxruntime openvino ncnn pnnx MNN opencv-python-headless torch torchvision litert-torch
    python3 benchmarks/bench_peers.py --python peers/bin/python3 --json peers.json && python3 benchmarks/draw_peers.py peers.json peers.svg

All run the same f32 network with the same weights on the same picture (bench_peers_models.py), and must agree with PyTorch within 1e-3 of
the output's range, or the row says so and they do not count. They take turns of about --turn milliseconds; whoever has no turn is
stopped (SIGSTOP), so that no waiting thread takes the others' processor. --by processor compares least processor times instead, which for
one thread is the better measure on a machine that others use too; JSON has both. --limit avx2 compares what a processor without AVX-512 would
run, on one that has it (limit_cpuid.py; PyTorch by its own switches); who uses a 512-bit register all the same does not count. Ours includes turning the picture's bytes into floats; peers
start from floats. Times are measured on this machine: the least over all turns; each turn gives one ratio, and their spread is shown.
"""
import argparse
import contextlib
import json
import os
import pathlib
import platform
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import bench_peers_models
import bench_peers_servers
import limit_cpuid

ROOT = pathlib.Path(__file__).resolve().parents[1]
SERVERS = pathlib.Path(bench_peers_servers.__file__).resolve()
BOUND = 1e-3
# Limited to AVX2: ours and PyTorch (with its oneDNN) have switches; all others are answered for the processor.
LIMITED_OURS = {"SPLITDSL_ISA": "avx2_fma", "GLIBC_TUNABLES": limit_cpuid.GLIBC}
LIMITED_TORCH = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "GLIBC_TUNABLES": limit_cpuid.GLIBC}


class Failed(Exception):
    """A peer cannot take part, and why."""


def pythons(given):
    places = [*given, sys.executable, *(str(pathlib.Path(folder) / "python3") for folder in os.get_exec_path()), "/usr/bin/python3"]
    found = []
    for place in dict.fromkeys(places):
        if shutil.which(place):
            found.append(place)
        elif place in given:
            sys.exit(f"bench_peers: --python {place}: no such program")
    return found


def python_with(places, modules):
    """The first that has all of the modules; None if there is none. They are looked for, not imported: importing takes seconds."""
    code = "import importlib.util as u, sys\ntry: sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))\nexcept ImportError: sys.exit(1)"
    for place in places:
        if subprocess.run([place, "-c", code, *modules], capture_output=True, check=False).returncode == 0:
            return place
    return None


def last_words(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no reason given"


class Server:
    """A process that has one network loaded and is stopped but for its turns.

    It leads a process group in our session: should this program die, the system wakes the stopped group and hangs it up.
    """

    def __init__(self, command, patience, environment=None):
        self.patience, self.least = patience, None
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, preexec_fn=os.setpgrp, env={**os.environ, **(environment or {})})
        try:
            self.version = self.answer()["version"]
        except Failed:
            self.end()
            raise
        self.loaded = time.monotonic()
        self.signal(signal.SIGSTOP)

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def answer(self):
        line, until = b"", time.monotonic() + self.patience
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise Failed(f"no answer within {self.patience:.0f} s")
            part = os.read(self.process.stdout.fileno(), 1 << 20)
            if not part:
                self.errors.seek(0)
                raise Failed(last_words(self.errors.read()))
            line += part
        answer = json.loads(line)
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def turn(self, milliseconds):
        """Times of as many runs as fit."""
        runs = 1 if self.least is None else min(1000, max(1, round(milliseconds / self.least)))
        self.signal(signal.SIGCONT)
        self.process.stdin.write(f"{runs}\n".encode())
        self.process.stdin.flush()
        answer = self.answer()
        self.signal(signal.SIGSTOP)
        self.least = min(answer["ms"])
        return answer

    def end(self):
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()


def floats(file):
    raw = file.read_bytes()
    return struct.unpack(f"<{len(raw) // 4}f", raw[: len(raw) // 4 * 4])


def error_of(file, expected):
    """The largest error in units of the range of what was expected; what is behind it (ours sends more than the head's tensor) is left out."""
    got = floats(file)[: len(expected)]
    if len(got) < len(expected):
        return float("inf")
    worst = max(abs(a - b) if a == a else float("inf") for a, b in zip(got, expected))
    return worst / (max(expected) - min(expected))


def machine(limit=None):
    facts = {"system": f"{platform.system()} {platform.release()}", "architecture": platform.machine(), "processors": os.cpu_count()}
    with contextlib.suppress(OSError):
        text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
        entries = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
        entries = {key.strip(): value.strip() for key, value in entries.items()}
        facts["processor"] = entries.get("model name", "unknown")
        flags = entries.get("flags", entries.get("Features", "")).split()
        facts["has"] = [flag for flag in ("sse4_2", "avx2", "fma", "avx512f", "avx512_vnni", "amx_tile", "asimd", "asimddp") if flag in flags]
        if limit:
            facts["limited_to"] = limit
            facts["has"] = [flag for flag in facts["has"] if not flag.startswith(("avx512", "amx"))]
    facts["load_average"] = [round(value, 2) for value in os.getloadavg()]
    return facts


def summary(values):
    return {"least": min(values), "median": statistics.median(values), "most": max(values)}


class Benchmark:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.places = pythons(arguments.python)
        self.found, self.missing, self.versions = {}, {}, {}
        for peer in arguments.peers:
            modules = bench_peers_servers.PEERS[peer][0]
            place = python_with(self.places, modules)
            if place:
                self.found[peer] = place
            else:
                self.missing[peer] = "no Python found here has " + ", ".join(m for m in modules if m != "numpy")
                print(f"LEFT OUT {peer}: {self.missing[peer]}", flush=True)
        self.refused = {}       # (network, peer): why its own file could not be made
        self.limit = limit_cpuid.Limit(folder / "limit") if arguments.limit else None

    def export(self, names):
        names = [name for name in names if not (self.folder / name / "shape.json").exists()]
        if not names:
            return
        exporter = python_with(self.arguments.exporter or ["/usr/bin/python3", *self.places], ("torch", "torchvision", "numpy"))
        if not exporter:
            sys.exit("bench_peers: the networks are exported by PyTorch, and no Python found here has torch and torchvision (Debian: python3-torch, python3-torchvision)")
        print(f"exporting {', '.join(names)} ...", flush=True)
        done = subprocess.run([exporter, str(ROOT / "benchmarks/bench_peers_models.py"), str(self.folder), *names], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit("bench_peers: exporting failed: " + last_words(done.stderr))

    def prepare(self, name):
        for peer, place in self.found.items():
            done = self.folder / name / f"prepared_{peer}"
            if bench_peers_servers.PEERS[peer][1] is None or done.exists():
                continue
            try:
                result = subprocess.run([place, str(SERVERS), peer, str(self.folder / name), "--prepare"], capture_output=True, text=True, check=False, timeout=self.arguments.patience)
                why = None if result.returncode == 0 else json.loads(result.stdout)["failed"] if result.stdout.startswith("{") else last_words(result.stderr)
            except subprocess.TimeoutExpired:
                why = f"not converted within {self.arguments.patience:.0f} s"
            if why is None:
                done.touch()
            else:
                self.refused[name, peer] = why

    def server(self, who, command, output):
        """Loaded and ready; limited, if that was asked for. What a peer loads is found out in its first runs."""
        is_answered = self.limit and who != "ours" and not who.startswith("torch")
        for _ in range(limit_cpuid.MOST_RUNS):
            output.unlink(missing_ok=True)
            environment = {} if not self.limit else self.limit.environment() if is_answered else LIMITED_OURS if who == "ours" else LIMITED_TORCH
            server = Server(command, self.arguments.patience, environment)
            try:
                if not is_answered or not self.limit.learn():
                    return server
            except limit_cpuid.CannotLimit as problem:
                server.end()
                raise Failed(str(problem)) from None
            server.end()
        raise Failed("loads new objects in every run")

    def start(self, name, threads, failed, wrong):
        """The servers that run and agree; ours first."""
        files, servers = self.folder / name, {}
        _, _, ours, cut, _ = bench_peers_models.NETWORKS[name]
        output, expected = files / "answer.f32", floats(files / "expected.f32")
        commands = {"ours": [self.arguments.program, ours, "--serve", "--threads", str(threads), "--weights", str(files / "weights.safetensors"),
                             "--input", str(files / "pixels.u8"), "--output", str(output), *(["--cut", cut] if cut else [])]}
        for peer, place in self.found.items():
            if (name, peer) in self.refused:
                failed[peer] = self.refused[name, peer]
            else:
                commands[peer] = [place, str(SERVERS), peer, str(files), str(threads), "--output", str(output)]
        for who, command in commands.items():
            try:
                server = self.server(who, command, output)
            except Failed as problem:
                failed[who] = str(problem)
                continue
            error = error_of(output, expected) if output.exists() else float("inf")
            if error <= BOUND:
                servers[who] = server
                self.versions[who] = server.version
            else:
                wrong[who] = error
                server.end()
        return servers

    def row(self, name, threads):
        failed, wrong, times, cpu, ratios = {}, {}, {}, {}, {}
        servers = self.start(name, threads, failed, wrong)
        try:
            order = list(servers) if "ours" in servers else []
            for turn in range(-1, self.arguments.turns):
                least = {}
                for who in order[turn % max(1, len(order)):] + order[: turn % max(1, len(order))]:
                    if who in failed:
                        continue
                    try:
                        answer = servers[who].turn(self.arguments.turn)
                    except Failed as problem:
                        failed[who] = str(problem)
                        continue
                    if turn >= 0:
                        times.setdefault(who, []).extend(answer["ms"])
                        cpu.setdefault(who, []).extend(answer["cpu_ms"])
                        least[who] = min(answer[self.arguments.measure])
                for who in least:
                    if who != "ours" and "ours" in least:
                        ratios.setdefault(who, []).append(least[who] / least["ours"])
            for who in order if self.limit else ():
                if limit_cpuid.wide_registers_used(servers[who].process.pid, servers[who].loaded):
                    failed.setdefault(who, f"used 512-bit registers, though limited to {self.arguments.limit}")
        finally:
            for server in servers.values():
                server.end()
        row = {"network": name, "threads": threads, "type": f"f32, limited to {self.arguments.limit}" if self.limit else "f32", "ours_ms": None, "peers": {}, "best_peer": None, "ratio": None,
               "failed": failed, "wrong": wrong}
        if "ours" not in times or "ours" in failed:
            return row
        times = {who: values for who, values in times.items() if who not in failed}
        compared = cpu if self.arguments.measure == "cpu_ms" else times
        row["ours_ms"] = min(compared["ours"])
        row["peers"] = {who: min(compared[who]) for who in times if who != "ours"}
        row["medians_ms"] = {who: statistics.median(compared[who]) for who in times}
        row["wall_ms"] = {who: min(times[who]) for who in times}
        row["processor_ms"] = {who: min(cpu[who]) for who in times}
        row["processors_used"] = {who: round(sum(cpu[who]) / sum(times[who]), 2) for who in times}
        row["ratios"] = {who: {"of_least": row["peers"][who] / row["ours_ms"], "of_medians": row["medians_ms"][who] / row["medians_ms"]["ours"], "turns": summary(ratios[who])}
                         for who in row["peers"] if who in ratios}
        if row["peers"]:
            row["best_peer"] = min(row["peers"], key=row["peers"].get)
            row["ratio"] = row["peers"][row["best_peer"]] / row["ours_ms"]
        return row


def show(row, peers):
    def cell(peer):
        if peer in row["wrong"]:
            return "WRONG"
        return f"{row['peers'][peer]:.2f}" if peer in row["peers"] else "-"
    ours = f"{row['ours_ms']:.2f}" if row["ours_ms"] is not None else "-"
    best = ""
    if row["best_peer"]:
        turns = row["ratios"][row["best_peer"]]["turns"]
        best = f"{row['ratio']:5.2f} ({turns['least']:.2f} to {turns['most']:.2f}) {row['best_peer']}"
    print(f"{row['network']:<28} {row['threads']:>2} {ours:>9} " + " ".join(f"{cell(peer):>{max(9, len(peer))}}" for peer in peers) + f"  {best}")
    for who, why in row["failed"].items():
        print(f"    {who} left out: {why}")
    for who, error in row["wrong"].items():
        print(f"    {who} left out: its answer is {error:.1e} of the range from PyTorch's, at most {BOUND:.0e} counts as the same")
    for who, used in row.get("processors_used", {}).items():
        if used > row["threads"] + 0.3:
            print(f"    {who} used {used} processors where {row['threads']} was asked for")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="all if none is named: " + ", ".join(bench_peers_models.NETWORKS))
    parser.add_argument("--program", default=str(ROOT / "build/release/benchmarks/bench_zoo"), help="our side (default: %(default)s)")
    parser.add_argument("--peers", nargs="+", choices=bench_peers_servers.PEERS, default=list(bench_peers_servers.PEERS), metavar="PEER",
                        help="of " + ", ".join(bench_peers_servers.PEERS))
    parser.add_argument("--python", action="append", default=[], metavar="FILE", help="a Python to look into first; may be given several times")
    parser.add_argument("--exporter", action="append", default=[], metavar="FILE", help="the Python that exports the networks; PyTorch's exporter of TorchScript is used")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--turns", type=int, default=8, help="of each side (default: %(default)s)")
    parser.add_argument("--turn", type=float, default=300.0, metavar="MS", help="about how long a turn is (default: %(default)s)")
    parser.add_argument("--by", dest="measure", choices=("wall", "processor"), default="wall", help="which time is compared (default: %(default)s)")
    parser.add_argument("--patience", type=float, default=300.0, metavar="S", help="for loading, converting or a turn (default: %(default)s)")
    parser.add_argument("--limit", choices=("avx2",), help="all sides use instructions up to this set (x86-64 Linux with glibc; needs cc and objdump)")
    parser.add_argument("--folder", type=pathlib.Path, help="keep the exported networks in this folder, and use what is there")
    parser.add_argument("--json", metavar="FILE", help="also write the results to FILE")
    arguments = parser.parse_args()
    arguments.measure = "cpu_ms" if arguments.measure == "processor" else "ms"
    names = arguments.networks or list(bench_peers_models.NETWORKS)
    if unknown := [name for name in names if name not in bench_peers_models.NETWORKS]:
        parser.error(f"no network is called {unknown[0]}; there are " + ", ".join(bench_peers_models.NETWORKS))
    if arguments.turns < 1 or arguments.turn <= 0 or arguments.patience <= 0 or min(arguments.threads) < 1:
        parser.error("--turns, --turn, --patience and --threads are positive")
    if not pathlib.Path(arguments.program).exists():
        print(f"bench_peers: {arguments.program} does not exist; `make build` builds it", file=sys.stderr)
        return 2
    try:
        listed = subprocess.run([arguments.program, "--list"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as problem:
        sys.exit(f"bench_peers: {arguments.program} was expected to list its networks: {problem}")
    compiled = set(listed.split())
    absent = [name for name in names if bench_peers_models.NETWORKS[name][2] not in compiled]
    if absent:
        print(f"LEFT OUT {', '.join(absent)}: not compiled into {arguments.program}")
    names = [name for name in names if name not in absent]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # so that the servers are ended

    with contextlib.ExitStack() as stack:
        folder = arguments.folder or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            benchmark = Benchmark(arguments, folder)
        except limit_cpuid.CannotLimit as problem:
            sys.exit(f"bench_peers: --limit: {problem}")
        benchmark.export(names)
        report = {"unit": "milliseconds", "label": "measured", "machine": machine(arguments.limit), "flags": {}, "left_out": benchmark.missing, "rows": []}

        def write():
            report["flags"] = {"turns": arguments.turns, "turn_ms": arguments.turn, "threads": arguments.threads, "compared": "processor time" if arguments.measure == "cpu_ms" else "wall time", "versions": benchmark.versions,
                               "instruction_set": benchmark.versions.get("ours"), "bound": BOUND}
            if arguments.json:
                pathlib.Path(arguments.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(f"least of {arguments.turns} turns of {arguments.turn:.0f} ms, in ms of {'processor' if arguments.measure == 'cpu_ms' else 'wall'} time; the ratio is the best peer's time / ours, in brackets over the turns")
        print(f"{'network':<28} {'N':>2} {'ours':>9} " + " ".join(f"{peer:>9}" for peer in benchmark.found) + "  best peer / ours", flush=True)
        for name in names:
            benchmark.prepare(name)
            for threads in arguments.threads:
                report["rows"].append(benchmark.row(name, threads))
                show(report["rows"][-1], benchmark.found)
                write()
        print("versions: " + ", ".join(f"{who} {version}" for who, version in benchmark.versions.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
