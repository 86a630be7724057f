#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""tools/gpu_check.sh on programs that stand in for the real ones: what fails, hangs or is skipped is said, and costs nothing of what comes after it.

    gpu_check_test.py
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
faults = 0

GPU_TESTS = r"""#!/bin/sh
case $1 in
--help) exit 0 ;;
esac
case $2 in
--list-test-names-only)
    echo "GPU: on this machine's own device every word agrees, and payloads cross"
    echo "GPU: a small network on this machine's own device, whole and cut in two"
    echo "GPU: on this machine's own device one is skipped"
    echo "GPU: on this machine's own device one is well"
    exit 4 ;;
--list-tests) echo "  GPU: a name that is folded" ;;
esac
echo "case: $1, own kernels: ${SPLITDSL_TEST_OWN_KERNELS:-no}"
case $1 in
*this\*,GPU*) exit 42 ;;
*small*two) kill -SEGV $$ ;;
*skipped) echo "SKIPPED: a word" ;;
esac
exit 0
"""
BENCH_GPU = r"""#!/bin/sh
for last; do :; done
case $1 in
--list) echo resnet50 ;;
--source) echo "// device code" ;;
--codecs) echo '{"codecs": [{"what": "copy", "ms": 0.03, "gigabytes_per_second": 4000, "of_copy": 1}, {"what": "quantise", "ms": 0.1, "gigabytes_per_second": 2000, "of_copy": 0.5}]}' > "$last" ;;
--bytes) printf '{"byte_layers": [{"lay' > "$last"; exit 3 ;;
--precision) echo '{"rows": [{"name": "near", "precision": "f32", "batch": 1, "least": 1, "median": 1, "p99": 1, "difference_from_cpu": 1e-6},
    {"name": "far", "precision": "f32", "batch": 1, "least": 1, "median": 1, "p99": 1, "difference_from_cpu": 0.5}, {"name": "nan", "precision": "f32", "batch": 1, "least": 1, "median": 1, "p99": 1, "difference_from_cpu": null}, {"name": "none", "precision": "f32", "batch": 1, "failed": "a sentence"}]}' > "$last"; exit 1 ;;
mobilenet*) exec sleep 600 ;;
esac
"""
SANITIZER = '#!/bin/sh\nwhile [ "$1" != -d ]; do last=$2; shift; done\necho "checked: $SPLITDSL_TEST_OWN_KERNELS"\n'
NVCC = "#!/bin/sh\nexit 0\n"


def check(holds, what):
    global faults
    if not holds:
        faults += 1
        print(f"FAULT: {what}")


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def run(root, *options):
    out = root / "results"
    shutil.rmtree(out, ignore_errors=True)
    environment = {**os.environ, "PATH": f"{root / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", str(root / "tools/gpu_check.sh"), "--out", str(out), *options], capture_output=True, text=True, cwd=root, env=environment)
    said = json.loads((out / "check.json").read_text()) if (out / "check.json").exists() else None
    return done, said, {s["name"]: s["status"] for s in said["steps"]} if said else {}


def main():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name in ("gpu_check.sh", "gpu_report.py"):
            program(root / "tools" / name, (ROOT / "tools" / name).read_text())
        program(root / "made/gpu_tests", GPU_TESTS)
        program(root / "made/bench_gpu", BENCH_GPU)
        program(root / "bin/compute-sanitizer", SANITIZER)
        program(root / "bin/nvcc", NVCC)
        made = ("--programs", str(root / "made"))

        done, said, status = run(root, *made, "--parts", "tests,sanitizers,kernels,networks", "--seconds", "20")
        check(done.returncode == 1, f"status 1 was expected, found {done.returncode}: {done.stderr}")
        names = list(status)
        cases = [n for n in names if n.startswith("GPU: ")]
        check(status.get("tests on the device") == 42, f"all cases together come first, found {status}")
        check(len(cases) == 4 and "every word" in cases[-1], f"four cases were expected, the longest last, found {cases}")
        check([status.get(n) for n in cases] == [139, 77, 0, 0], f"a crash, a skipped case and two that pass were expected, found {[status.get(n) for n in cases]}")
        check("case: GPU: on this machine's own device every word agrees\\, and payloads cross, own kernels: no" in (root / "results/log").read_text(), "a case's commas are escaped")
        check(all(status.get(n) == 0 for n in ("memcheck", "racecheck", "synccheck", "nvcc", "benchmark: codecs")), f"what comes after a crash runs, found {status}")
        check("checked: 1" in (root / "results/log").read_text(), "the sanitizers look at our own kernels")
        check(status.get("benchmark: bytes, layers") == 3, "a benchmark that fails says so")
        check(said["results"].get("bytes", {}).get("damaged"), "half a file is no result")
        check(status.get("benchmark: bytes, 1 together") == 124, f"a program that hangs is stopped, found {status}")
        check(status.get("benchmark: ours, f32") == 124, "what there is no time for says so")
        check(said["unmet"] == ["quantise: 50% of the copy's bandwidth, less than 80%"], f"what is unmet is said, found {said['unmet']}")
        check(sorted(p.name for p in (root / "results").iterdir()) == ["check.json", "log", "tables.md"], "three files come out")
        check("| quantise | 0.1000 | 2000 | 50% |" in (root / "results/tables.md").read_text(), "tables have the results")

        program(root / "made/bench_gpu", BENCH_GPU.replace("exec sleep 600", "exit 0"))
        done, said, status = run(root, *made, "--parts", "networks")
        check(said["results"].keys() == {"f32"}, f"results of a call are its own, found {said['results'].keys()}")
        check(said["unmet"] == ["far, f32, batch 1: 5.0e-01 of the range away from the CPU's answer, more than 1e-04", "nan, f32, batch 1: inf of the range away from the CPU's answer, more than 1e-04", "none, f32, batch 1: failed: a sentence"], f"far answers and failures are unmet, found {said['unmet']}")
        program(root / "made/gpu_tests", GPU_TESTS.replace("exit 42", "exec sleep 600"))
        done, said, status = run(root, *made, "--parts", "tests,kernels", "--seconds", "12")
        check(status.get("tests on the device") == 124 and status.get("tests: the others by themselves") == 124, f"tests that hang have half of the time, found {status}")
        check(status.get("benchmark: codecs") == 0, f"the other half is left for what comes behind, found {status}")
        program(root / "made/gpu_tests", GPU_TESTS.replace("exit 42", "exit 0"))
        done, said, status = run(root, *made, "--parts", "tests")
        check(done.returncode == 0 and list(status) == ["programs made elsewhere start", "tests on the device"], f"cases that pass together do not run again, found {status}")
        done, said, status = run(root, *made, "--parts", "thorough")
        check(done.returncode == 0 and len(status) == 4, f"all is well where nothing failed, found {done.returncode}, {status}")

        program(root / "made/bench_gpu", "#!/bin/sh\nexit 127\n")
        done, said, status = run(root, *made, "--parts", "tests,kernels")
        check(done.returncode == 1 and status.get("configure", 0) != 0 and "tests: there is no gpu_tests" in status, f"programs that do not start are built, found {status}")
        for wrong in (["--parts", "test"], ["--seconds", "1.5"], ["--programs", str(root / "nowhere")], ["--wrong"]):
            done = run(root, *wrong)[0]
            check(done.returncode == 2 and done.stderr, f"{wrong} is refused, found {done.returncode}")
        tables = subprocess.run([sys.executable, str(root / "tools/gpu_report.py"), "tables", str(root / "tools/gpu_check.sh")], capture_output=True, text=True)
        check(tables.returncode == 1 and "a check.json of gpu_check.sh was expected" in tables.stderr and "Traceback" not in tables.stderr, f"another file is refused in a sentence, found {tables.stderr}")
        tables = subprocess.run([sys.executable, str(root / "tools/gpu_report.py"), "tables"], capture_output=True, text=True)
        check(tables.returncode != 0, "tables of nothing are refused")
    print(f"{faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
