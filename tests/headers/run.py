#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Every header compiles alone, without warnings; the language compiles without exceptions, RTTI or third-party headers.

    run.py --compiler g++              each header of include/ and kernels/ as a translation unit of its own
    run.py --compiler g++ --language   language.hpp with -fno-exceptions -fno-rtti, the list of files it opens, and what C++17 is told
    run.py --compiler g++ codec link   only headers whose path contains one of the words
    run.py --compiler g++ --documented only headers that README, docs and example programs include: what users start from; the opening lines of all
    run.py --compiler g++ --together   all headers in one translation unit, for each instruction set; and one that runs networks (embedded.cpp)
"""
import argparse
import concurrent.futures
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What the code bases that compile these headers with their own sources ask for, also where this project's own programs are compiled with less.
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wold-style-cast", "-Wnon-virtual-dtor", "-Werror"]
SETS = {"as it comes": ["-O0"]}
if platform.machine() in ("x86_64", "AMD64"):
    SETS = SETS | {"AVX2": ["-O2", "-mavx2", "-mfma"], "AVX-512": ["-O2", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"]}
PLANTED = {"-Wsign-conversion": "unsigned planted(int i) { return i; }", "-Wold-style-cast": "int planted(double d) { return (int)d; }",
           "-Wnon-virtual-dtor": "struct planted { virtual void f(); ~planted(); };", "-Wpedantic": "int planted(int n) { int a[n]; a[0] = 1; return a[0]; }",
           "-Wshadow": "int planted(int n) { for (int n = 0; n < 2;) return n; return n; }", "-Wconversion": "char planted(long l) { return l; }"}


def compile_text(compiler, text, extra, standard="c++20"):
    command = [compiler, f"-std={standard}", "-fsyntax-only", f"-I{ROOT / 'include'}", f"-I{ROOT}", *WARNINGS, *extra, "-x", "c++", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stdout + done.stderr


def include_line(path):
    base = ROOT / "include" if path.is_relative_to(ROOT / "include") else ROOT
    return f"#include <{path.relative_to(base)}>\n"


def named_in_documentation():
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.cpp")]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def all_headers():
    return sorted([*ROOT.glob("include/splitdsl/**/*.hpp"), *ROOT.glob("kernels/**/*.hpp")])


def check_headers(compiler, words, jobs, documented):
    headers = all_headers()
    failed = 0
    for path in headers:
        opening = path.read_text(encoding="utf-8").splitlines()[:3]
        if len(opening) < 3 or "SPDX-FileCopyrightText" not in opening[0] or "SPDX-License-Identifier" not in opening[1] or f"@file {path.name}" not in opening[2]:
            failed += 1
            print(f"{path.relative_to(ROOT)}: does not open with the two SPDX lines and `/// @file {path.name}`")
    if documented:
        text = named_in_documentation()
        headers = [path for path in headers if include_line(path) in text]
    if words:
        headers = [path for path in headers if any(word in str(path.relative_to(ROOT)) for word in words)]
    if not headers:
        print("no header to check")
        return 1
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        results = pool.map(lambda path: compile_text(compiler, include_line(path), []), headers)
        for path, (status, output) in zip(headers, results):
            if status != 0:
                failed += 1
                print(f"{path.relative_to(ROOT)}: does not compile alone")
                print("\n".join("    " + line for line in output.splitlines()[:10]))
    print(f"{compiler}: {len(headers)} headers compiled alone, {failed} problems")
    return 1 if failed else 0


def check_together(compiler, jobs):
    """One translation unit costs as much as a few headers alone; what they have in common is then read once."""
    failed = 0
    for warning, text in PLANTED.items():
        if compile_text(compiler, text + "\n", [])[0] == 0:
            failed += 1
            print(f"{compiler}: {warning} finds nothing in `{text}`")
    every = "".join(include_line(path) for path in all_headers())
    work = [(f"all headers, {instructions}", every, flags) for instructions, flags in SETS.items()]
    work.append((f"embedded.cpp, {[*SETS][-1]}", (ROOT / "tests/headers/embedded.cpp").read_text(encoding="utf-8"), [*SETS.values()][-1]))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for (what, _, _), (status, output) in zip(work, pool.map(lambda w: compile_text(compiler, w[1], w[2]), work)):
            if status != 0:
                failed += 1
                print(f"{what}: does not compile without warnings")
                print("\n".join("    " + line for line in output.splitlines()[:10]))
    print(f"{compiler}: {len(all_headers())} headers together, {len(work)} translation units, {failed} problems")
    return 1 if failed else 0


def check_language(compiler):
    language = ROOT / "include" / "splitdsl" / "language.hpp"
    if not language.exists():
        print("include/splitdsl/language.hpp does not exist")
        return 1
    text = "#include <splitdsl/language.hpp>\n"
    status, output = compile_text(compiler, text, ["-fno-exceptions", "-fno-rtti"])
    if status != 0:
        print("language.hpp does not compile with -fno-exceptions -fno-rtti")
        print("\n".join("    " + line for line in output.splitlines()[:10]))
        return 1
    # With the standard library's folders as system headers, -MM lists exactly what is neither standard nor system.
    command = [compiler, "-std=c++20", "-MM", f"-I{ROOT / 'include'}", "-x", "c++", "-"]
    listed = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    own = ROOT / "include" / "splitdsl"
    files = [pathlib.Path(word).resolve() for word in listed.replace("\\\n", " ").split()[1:] if word != "-"]
    strangers = [str(path) for path in files if not path.is_relative_to(own)]
    # Third-party headers among our own includes are tests/includes' business; what the standard library itself pulls in is its own.
    command[2] = "-M"
    every = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout.replace("\\\n", " ").split()[1:]
    heavy = [word for word in every if word.endswith(("/regex", "/iostream", "/functional", "/thread", "/ranges", "/future"))]
    if strangers or heavy:
        print("language.hpp includes more than its own files and light standard headers: " + ", ".join(strangers + heavy))
        return 1
    for header in ("language.hpp", "splitdsl.hpp"):
        status, output = compile_text(compiler, f"#include <splitdsl/{header}>\n", [], "c++17")
        errors = [line for line in output.splitlines() if "error: " in line]
        if status == 0 or len(errors) != 1 or "compile with -std=c++20" not in errors[0]:
            print(f"{header}: one error that says -std=c++20 was expected from a compiler of C++17, found {len(errors)}")
            print("\n".join("    " + line for line in output.splitlines()[:10]))
            return 1
    print(f"{compiler}: language.hpp needs {len(files)} files of ours and {len(every) - len(files)} standard ones")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--language", action="store_true")
    parser.add_argument("--documented", action="store_true")
    parser.add_argument("--together", action="store_true")
    arguments = parser.parse_args()
    if arguments.language:
        return check_language(arguments.compiler)
    if arguments.together:
        return check_together(arguments.compiler, arguments.jobs)
    return check_headers(arguments.compiler, arguments.words, arguments.jobs, arguments.documented)


if __name__ == "__main__":
    sys.exit(main())
