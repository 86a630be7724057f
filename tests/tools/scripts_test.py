#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Python scripts that import each other fit together, and each says what it does.

    scripts_test.py

Names and calls are compared in the source, so that no package is needed: what one script takes of another has to exist there, and its arguments have to fit. Then
each script of benchmarks/ and tools/ that takes options is asked for help, which runs its imports; one whose packages are missing here is named.
"""
import ast
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Script:
    """What a script defines at its top level, and what it takes of other scripts."""

    def __init__(self, path, text, modules):
        self.path, self.tree = path, ast.parse(text)
        self.names, self.functions = {"__doc__", "__file__", "__name__"}, {}
        for node in self.tree.body:
            self.define(node)
        self.imported = {}      # local name -> module
        self.taken = []         # module, name, line
        self.direct = {}        # local name -> module, name
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                self.imported.update({a.asname or a.name: a.name for a in node.names if a.name in modules})
            elif isinstance(node, ast.ImportFrom) and node.module in modules and not node.level:
                self.taken += [(node.module, a.name, node.lineno) for a in node.names]
                self.direct.update({a.asname or a.name: (node.module, a.name) for a in node.names})

    def define(self, node):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            self.names.add(node.name)
            if isinstance(node, ast.FunctionDef) and not node.decorator_list:
                self.functions[node.name] = node.args
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self.names.update((a.asname or a.name).split(".")[0] for a in node.names)
        else:       # an assignment, perhaps within a top-level if, try, for or with
            self.names.update(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
            for block in ("body", "orelse", "handlers", "finalbody"):
                for inner in getattr(node, block, []):
                    self.define(inner)

    def target(self, function):
        """Which script's function a call names: module and name, or None."""
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id in self.imported:
            return self.imported[function.value.id], function.attr
        if isinstance(function, ast.Name):
            return self.direct.get(function.id)
        return None


def misfit(call, arguments):
    """Why a call does not fit a function's arguments, or None."""
    if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
        return None     # known when it runs
    positional = [a.arg for a in arguments.posonlyargs + arguments.args]
    keywords = [k.arg for k in call.keywords]
    if len(call.args) > len(positional) and not arguments.vararg:
        return f"takes {len(positional)} positional arguments, is given {len(call.args)}"
    if not arguments.kwarg:
        for name in keywords:
            if name not in [a.arg for a in arguments.args + arguments.kwonlyargs]:
                return f"has no argument {name}"
    required = positional[: len(positional) - len(arguments.defaults)]
    required = required[len(call.args):] + [a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults) if d is None]
    lacking = [name for name in required if name not in keywords]
    return f"is called without {', '.join(lacking)}" if lacking else None


def faults_of(sources):
    """`sources`: path -> text. One sentence for each name or call that does not fit."""
    modules = {path.stem for path in sources}
    scripts = {path.stem: Script(path, text, modules) for path, text in sources.items()}
    faults, calls = [], 0
    for script in scripts.values():
        taken = list(script.taken)
        for node in ast.walk(script.tree):
            if isinstance(node, ast.Attribute) and (to := script.target(node)):
                taken.append((*to, node.lineno))
            if not isinstance(node, ast.Call) or not (to := script.target(node.func)):
                continue
            arguments = scripts[to[0]].functions.get(to[1])
            calls += arguments is not None
            if arguments is not None and (why := misfit(node, arguments)):
                faults.append(f"{script.path}:{node.lineno}: {to[0]}.{to[1]} {why}")
        faults += [f"{script.path}:{line}: {module} has no {name}" for module, name, line in taken if name not in scripts[module].names]
    return faults, calls


def planted():
    """What the comparison finds in two scripts with faults, one of each kind."""
    made = {pathlib.Path("one.py"): "LIMIT = 1\ndef facts():\n    pass\ndef timed(run, *, times):\n    pass\n",
            pathlib.Path("two.py"): "import one\nfrom one import gone, timed\none.facts('avx2')\none.facts()\none.limit\none.LIMIT\ntimed(1)\ntimed(1, times=2, how=3)\ntimed(*[1])\n"}
    return sorted(re.sub(r"^two.py:", "", fault) for fault in faults_of(made)[0])


EXPECTED = ["2: one has no gone", "3: one.facts takes 0 positional arguments, is given 1", "5: one has no limit", "7: one.timed is called without times",
            "8: one.timed has no argument how"]


def help_of(path):
    ran = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
                         env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    return ran.returncode, ran.stdout + ran.stderr


def main():
    if planted() != EXPECTED:
        print(f"FAULT: planted faults: expected {EXPECTED}, found {planted()}")
        sys.exit(1)
    paths = sorted(p for folder in ("benchmarks", "tools", "tests", "examples") for p in (ROOT / folder).rglob("*.py"))
    imported = [p for p in paths if p.name != "run.py"]     # of these there are several, and nobody imports one
    if len({p.stem for p in imported}) != len(imported):
        print("FAULT: two scripts have the same name")
        sys.exit(1)
    faults, calls = faults_of({p.relative_to(ROOT): p.read_text(encoding="utf-8") for p in imported})
    programs = [p for p in paths if p.parent.name in ("benchmarks", "tools") and p.parent.parent == ROOT and "ArgumentParser(" in p.read_text(encoding="utf-8")]
    left_out = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path, (status, said) in zip(programs, pool.map(help_of, programs)):
            name = path.relative_to(ROOT)
            if status == 0 and ("SKIPPED:" in said or "the options too once Python has" in said):
                left_out.append(f"LEFT OUT: {name} --help: {said.strip().splitlines()[-1].replace('SKIPPED: ', '')}")
            elif status != 0 or "usage: " not in said:
                faults.append(f"{name} --help: exit status {status}, {said.strip()[-300:]!r}")
    print("\n".join(left_out + [f"FAULT: {fault}" for fault in faults]))
    print(f"{len(imported)} scripts, {calls} calls from one to another, {len(programs)} programs asked for help, {len(left_out)} of them without their packages, {len(faults)} faults")
    sys.exit(1 if faults or calls < 50 or len(programs) < 15 else 0)


if __name__ == "__main__":
    main()
