#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""A tool whose modules are not installed says which in one sentence, and leaves no traceback. Its help needs none of them.

    packages_test.py
"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ["tools/train_fleet.py", "tools/train_fleet_wide.py", "tools/learn_channel_order.py", "tools/train_drive.py", "tools/evaluate_drive.py", "tools/train_bottleneck.py",
         "tools/tune_winograd.py", "tools/import_onnx.py", "tools/export_weights.py", "tools/cascade_answers.py", "benchmarks/dynamic_pool_features.py"]
# None in sys.modules makes an import fail as if nothing were installed.
RUN = f"import runpy, sys; sys.modules.update(numpy=None, torch=None, PIL=None); sys.argv = sys.argv[1:]; sys.path.insert(0, {str(ROOT / 'tools')!r}); runpy.run_path(sys.argv[0], run_name='__main__')"


def main():
    faults = 0
    for tool in TOOLS:
        ran, helped = (subprocess.run([sys.executable, "-c", RUN, ROOT / tool, *asked], capture_output=True, text=True, timeout=60) for asked in ([], ["--help"]))
        said = ran.stderr
        if ran.returncode != 1 or said.count("\n") != 1 or not said.startswith(f"{pathlib.Path(tool).name}: expected numpy") or "python3-numpy" not in said:
            faults += 1
            print(f"FAULT: {tool}: exit status {ran.returncode}, {said!r}")
        if helped.returncode != 0 or helped.stderr or "once Python has numpy" not in helped.stdout or len(helped.stdout) < 200:
            faults += 1
            print(f"FAULT: {tool} --help: exit status {helped.returncode}, {helped.stdout!r}, {helped.stderr!r}")
    print(f"{len(TOOLS)} tools, {faults} faults")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
