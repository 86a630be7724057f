#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Compile-fail tests: each SDnnn_name.cpp must be refused with its own sentence, and accepted with -DREPAIRED.

A test file opens with the text that the compiler's output must contain:

    // expect: splitdsl SD203: the two branches of a residual differ in channels

Several expect lines may be given; all must appear. More than 2 errors are a cascade, unless the file says `// at most: 3 errors`;
`// flags: -O0` adds compiler flags.

    run.py --compiler g++            run every file with one compiler
    run.py --compiler g++ SD203      only the files whose name starts with SD203
    run.py --compiler g++ --every 3  only each third file
    run.py --codes                   every code has a test here and an entry in docs/errors.md, and the other way round; what the documentation quotes is
                                     what is said, of codes and of exceptions
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "compile_fail"
CODES = ROOT / "include" / "splitdsl" / "check" / "codes.hpp"
DOCUMENT = ROOT / "docs" / "errors.md"
MAX_SECONDS = 300


def comments(path, word):
    """The values of `// word: value` lines in the comment block that opens the file."""
    values = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("//"):
            break
        if match := re.match(rf"//\s*{word}:\s*(.+?)\s*$", line):
            values.append(match.group(1))
    return values


def compile_file(compiler, path, extra):
    command = [compiler, "-std=c++20", "-fsyntax-only", f"-I{ROOT / 'include'}", f"-I{ROOT}", *extra, str(path)]
    # Messages are searched as one line of text in English, whatever the terminal and locale are.
    environment = {"LC_ALL": "C", "PATH": os.environ.get("PATH", "")}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAX_SECONDS, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return None, f"no answer from {compiler} within {MAX_SECONDS} s"
    return done.returncode, done.stdout + done.stderr


def head(text, lines=12):
    cut = text.splitlines()[:lines]
    return "\n".join("      " + line[:240] for line in cut)


def problems_of(compiler, path):
    expected = comments(path, "expect")
    flags = [flag for line in comments(path, "flags") for flag in line.split()]
    code = path.stem.split("_")[0]
    if not expected:
        return ["has no `// expect: ...` line"]
    if not any(code in text for text in expected):
        return [f"expects no text with its own code {code}"]
    if "REPAIRED" not in path.read_text(encoding="utf-8"):
        return ["has no REPAIRED twin"]
    found = []
    status, output = compile_file(compiler, path, flags)
    if status is None:
        return [output]
    if status == 0:
        found.append("compiled, but should have been refused")
    else:
        flat = re.sub(r"\s+", " ", output)
        for text in expected:
            if re.sub(r"\s+", " ", text) not in flat:
                found.append(f"was refused without the text: {text}\n{head(output)}")
        errors = len(re.findall(r"^\S+: error: ", output, re.M))
        for text in comments(path, "at most") or ["2 errors"]:
            if errors > int(text.split()[0]):
                found.append(f"shows {errors} errors, more than {text}\n{head(output)}")
        others = sorted(set(re.findall(r"splitdsl (SD\d{3}):", output)) - {code})
        if others:
            found.append(f"shows {', '.join(others)} beside {code}: one error at a time")
    status, output = compile_file(compiler, path, [*flags, "-DREPAIRED"])
    if status is None:
        found.append(output)
    elif status != 0:
        found.append(f"its REPAIRED twin does not compile\n{head(output)}")
    return found


def run_files(compiler, prefix, jobs, every):
    files = sorted(path for path in HERE.glob("SD*.cpp") if path.name.startswith(prefix))[::every]
    if not files:
        print(f"no compile-fail test starts with '{prefix}'")
        return 1
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for path, found in zip(files, pool.map(lambda item: problems_of(compiler, item), files)):
            if found:
                failed += 1
                for problem in found:
                    print(f"{path.name}: {problem}")
    print(f"{compiler}: {len(files) - failed} of {len(files)} compile-fail tests passed")
    return 1 if failed else 0


def parts_of(quotation):
    """What a quotation says itself: `...` stands for anything, `words` in backticks for a name, (2) for a shape; a text may be put together at a semicolon."""
    return [part for piece in re.split(r"`[^`]*`|\.\.\.|\(\d[^)]*\)|;", quotation) if len(part := piece.strip(" .,\n")) > 3]


def misquoted():
    """What the documentation quotes of compilers and exceptions, and nobody says."""
    text = CODES.read_text(encoding="utf-8")
    sentences = {code: said.replace('\\"', '"') for code, said in re.findall(r'"splitdsl (SD\d{3}): ((?:[^"\\]|\\.)*)"', text)}
    document = DOCUMENT.read_text(encoding="utf-8")
    quoted = dict(re.findall(r"^## (SD\d{3})\n\n> (.*)$", document, re.M))
    found = [f"docs/errors.md: the sentence under {code} is not the one in codes.hpp" for code, said in sentences.items() if code in quoted and quoted[code] != said]
    found += [f"docs/errors.md: no `> sentence` under {code}" for code in sentences.keys() - quoted.keys()]
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        page_text = page.read_text(encoding="utf-8")
        for code, said in [*re.findall(r"\*(SD\d{3}): ([^*]+)\*", page_text), *re.findall(r"splitdsl (SD\d{3}): ([^\n]+)", page_text)]:
            if code not in sentences or any(part not in sentences[code] for part in parts_of(said.replace("\n", " "))):
                found.append(f"{page.relative_to(ROOT)}: quotes {code} otherwise than codes.hpp says it: {said}")

    # Exceptions: every one is introduced, and every sentence in italics is said somewhere.
    sources = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "include").glob("**/*.hpp")))
    told = document.split("## Errors at run time")[-1]
    for name in sorted(set(re.findall(r"^struct (\w+_error) : \w*error\b", sources, re.M))):
        if f"`{name}`" not in told:
            found.append(f"docs/errors.md: `{name}` is thrown, but not introduced under 'Errors at run time'")
    for name in re.findall(r"`(\w+_error)`", told):
        if not re.search(rf"^struct {name} : ", sources, re.M):
            found.append(f"docs/errors.md: introduces `{name}`, which does not exist")
    for said in re.findall(r"\*([^*]+)\*", told):
        for part in parts_of(said.replace("\n", " ")):
            if part not in sources:
                found.append(f"docs/errors.md: promises the words '{part}', which nobody says")
    return found


def check_codes(minimum):
    if not CODES.exists():
        print(f"{CODES.relative_to(ROOT)} does not exist")
        return 1
    codes = set(re.findall(r"\bSD\d{3}\b", CODES.read_text(encoding="utf-8")))
    tested = {path.stem.split("_")[0] for path in HERE.glob("SD*.cpp")}
    described = set(re.findall(r"^## (SD\d{3})\b", DOCUMENT.read_text(encoding="utf-8"), re.M)) if DOCUMENT.exists() else set()
    # Codes of run-time errors (SD6xx are exceptions) are documented, and tested by unit tests.
    diagnosed = {code for code in codes if not code.startswith("SD6")}
    lines = [
        (diagnosed - tested, "no compile-fail test"),
        (codes - described, "no `## SDnnn` entry in docs/errors.md"),
        (tested - codes, "a compile-fail test, but no such code"),
        (described - codes, "an entry in docs/errors.md, but no such code"),
    ]
    for missing, text in lines:
        if missing:
            print(f"{', '.join(sorted(missing))}: {text}")
    if len(diagnosed) < minimum:
        print(f"{len(diagnosed)} codes; at least {minimum} are expected")
        return 1
    wrong = misquoted()
    print("\n".join([*wrong, f"{len(codes)} codes, {len(tested)} tested, {len(described)} documented, {len(wrong)} quotations that nobody says"]))
    return 1 if wrong or any(missing for missing, _ in lines) else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prefix", nargs="?", default="SD", help="only files whose name starts so")
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, choices=range(1, 10), metavar="N", help="only each Nth file, from the first")
    parser.add_argument("--codes", action="store_true", help="compare codes, tests and documentation; compiles nothing")
    parser.add_argument("--minimum", type=int, default=20, help="with --codes: how many codes there must be at least")
    arguments = parser.parse_args()
    if arguments.codes:
        return check_codes(arguments.minimum)
    return run_files(arguments.compiler, arguments.prefix, arguments.jobs, arguments.every)


if __name__ == "__main__":
    sys.exit(main())
