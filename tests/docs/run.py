#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""The documentation's code compiles, and what it points to exists.

A block opened by ```cpp compile is a complete file. ```cpp compile+ goes on where the page's last compiled block ended: it is compiled
with that one in front. Blocks opened by ```cpp alone are fragments and are only counted.

    run.py --compiler g++                   README.md and docs/**/*.md
    run.py --compiler g++ getting_started   only pages whose path contains the word
    run.py --words                          one reference page a word: docs/reference/NAME.md for each include/splitdsl/lang/NAME.hpp
    run.py --links                          links between pages, and paths in `backticks` under the project's folders
"""
import argparse
import concurrent.futures
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```\s*$", re.M | re.S)
FOLDERS = ("include/", "kernels/", "docs/", "tests/", "tools/", "examples/", "benchmarks/", "cmake/")


def pages(words=()):
    found = [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/**/*.md"))]
    return [path for path in found if not words or any(word in str(path.relative_to(ROOT)) for word in words)]


def blocks(path):
    """(line, code) of each block to compile."""
    text = path.read_text(encoding="utf-8")
    previous, found = "", []
    for match in FENCE.finditer(text):
        words = match.group(1).split()
        if words[:1] != ["cpp"] or len(words) < 2:
            continue
        line = text.count("\n", 0, match.start()) + 2
        code = f'#line {line} "{path.relative_to(ROOT)}"\n{match.group(2)}'
        if words[1] == "compile+":
            code = previous + code
        elif words[1] != "compile":
            continue
        previous = code
        found.append((line, code))
    return found


def compile_block(compiler, code):
    command = [compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", f"-I{ROOT / 'include'}", f"-I{ROOT}", f"-I{ROOT / 'tests'}",
               "-x", "c++", "-"]
    done = subprocess.run(command, input=code, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stderr


def check_blocks(compiler, words, jobs):
    work = [(path, line, code) for path in pages(words) for line, code in blocks(path)]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for (path, line, _), (status, output) in zip(work, pool.map(lambda item: compile_block(compiler, item[2]), work)):
            if status != 0:
                failed += 1
                print(f"{path.relative_to(ROOT)}:{line}: the block does not compile")
                print("\n".join("    " + text for text in output.splitlines()[:10]))
    print(f"{compiler}: {len(work) - failed} of {len(work)} documentation blocks compile")
    return 1 if failed or not work else 0


def check_links():
    found, links = [], 0
    for path in pages():
        text = FENCE.sub("", path.read_text(encoding="utf-8"))
        targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
        for target in targets:
            if not target or re.match(r"[a-z]+:", target):
                continue
            links += 1
            if not (path.parent / target).exists():
                found.append(f"{path.relative_to(ROOT)}: the link {target} leads nowhere")
        for target in re.findall(r"`([\w./-]+)`", text):
            if target.startswith(FOLDERS) and not re.search(r"WORD|NAME|SDnnn", target):
                links += 1
                if not (ROOT / target).exists():
                    found.append(f"{path.relative_to(ROOT)}: names {target}, which does not exist")
    print("\n".join(found + [f"{links} links and paths, {len(found)} broken"]))
    return 1 if found or not links else 0


def check_words():
    """One word, one header, one page: the pages are made from the headers' comments, so they must be what the tool would write."""
    return subprocess.run([sys.executable, str(ROOT / "tools" / "make_reference.py"), "--check"], check=False).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--links", action="store_true")
    parser.add_argument("--words", dest="reference", action="store_true")
    arguments = parser.parse_args()
    if arguments.reference:
        return check_words()
    return check_links() if arguments.links else check_blocks(arguments.compiler, arguments.words, arguments.jobs)


if __name__ == "__main__":
    sys.exit(main())
