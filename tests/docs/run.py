#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""The documentation's code compiles, and what it points to exists.

A block opened by ```cpp compile is a complete file. ```cpp compile+ goes on where the page's last compiled block ended: it is compiled
with that one in front. Blocks opened by ```cpp alone are fragments and are only counted.

    run.py --compiler g++                   README.md and docs/**/*.md
    run.py --compiler g++ getting_started   only pages whose path contains the word
    run.py --headers                        blocks in comments of include/**/*.hpp opened by ```cpp body: each is a function's body behind tests/docs/examples.hpp
    run.py --words                          one reference page a word: docs/reference/NAME.md for each include/splitdsl/lang/NAME.hpp
    run.py --links                          links between pages and their headings, paths in `backticks` under the project's folders, and what commands
                                            name: scripts, programs, targets of make, presets, options; docs/papers.md has every row of every paper
    run.py --self-test                      the checks of --links find planted errors
"""
import argparse
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```\s*$", re.M | re.S)
# Of cmake, ctest, g++ and other programs that are not ours.
FOREIGN_OPTIONS = {"--preset", "--install", "--prefix", "--build", "--list-presets", "--target"}
FOLDERS = ("include/", "kernels/", "docs/", "tests/", "tools/", "examples/", "benchmarks/", "cmake/")


def pages(words=()):
    found = [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/**/*.md"))]
    return [path for path in found if not words or any(word in str(path.relative_to(ROOT)) for word in words)]


def blocks(path):
    """(line, code) of each block to compile; of blocks that continue each other the last, which is all of them."""
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
            del found[-1:]
        elif words[1] != "compile":
            continue
        previous = code
        found.append((line, code))
    return found


BODY = re.compile(r"^ */// ?```cpp body\n((?: *///.*\n)*?) */// ?```", re.M)


def header_examples():
    """One file with a function for each; a message names the header's line."""
    count, code = 0, '#include "docs/examples.hpp"\n'
    for path in sorted(ROOT.glob("include/**/*.hpp")):
        text = path.read_text(encoding="utf-8")
        for match in BODY.finditer(text):
            count += 1
            line = text.count("\n", 0, match.start()) + 2
            body = re.sub(r"^ */// ?", "", match.group(1), flags=re.M)
            code += f'void example_{count}() {{\n#line {line} "{path.relative_to(ROOT)}"\n{body}}}\n'
    return count, code


def check_headers(compiler):
    count, code = header_examples()
    status, output = compile_block(compiler, code, ["-Wno-unused"])
    print("\n".join([line for line in output.splitlines() if "error" in line][:20] + [f"{compiler}: {count} examples in headers' comments, {'they do not all' if status else 'all'} compile"]))
    return 1 if status or not count else 0


def compile_block(compiler, code, more=()):
    command = [compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", f"-I{ROOT / 'include'}", f"-I{ROOT}", f"-I{ROOT / 'tests'}",
               *more, "-x", "c++", "-"]
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


def slugs(text):
    """The anchors of a page's headings: letters in lower case, spaces as hyphens, no other punctuation."""
    found = set()
    for heading in re.findall(r"^#+ +(.*?) *$", FENCE.sub("", text), re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))
    return found


class Named:
    """What commands in the documentation may name."""

    def __init__(self):
        self.targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
        self.presets = {p["name"] for p in json.loads((ROOT / "CMakePresets.json").read_text(encoding="utf-8"))["configurePresets"]}
        # splitdsl_folder_programs (cmake/own_targets.cmake): a file or a folder is a program, unless a folder says which it has.
        self.programs = {path.stem for folder in ("examples", "benchmarks") for path in (ROOT / folder).iterdir()}
        for lists in [*ROOT.glob("examples/*/CMakeLists.txt"), *ROOT.glob("benchmarks/*/CMakeLists.txt")]:
            self.programs |= set(re.findall(r"(?:add_executable|splitdsl_program)\(\s*([\w-]+)", lists.read_text(encoding="utf-8")))
        sources = [path for folder in ("benchmarks", "cmake", "examples", "include", "tests", "tools") for path in ROOT.glob(f"{folder}/**/*")
                   if path.suffix in (".py", ".cpp", ".hpp", ".sh", ".txt", ".cmake") and path != pathlib.Path(__file__).resolve()]
        # An option is a literal in a program that reads it.
        self.options = set(re.findall(r"--[a-z][\w-]*", "\n".join(path.read_text(encoding="utf-8") for path in sources))) | FOREIGN_OPTIONS


def commands(text):
    """Commands of a page: blocks of sh, and code in a line that is one."""
    fenced = [body.replace("\\\n", " ") for words, body in FENCE.findall(text) if words.split()[:1] == ["sh"]]
    return [re.sub(r"(^|\s)#.*", "", line) for body in fenced for line in body.splitlines()] + re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def wrong_in_commands(text, named):
    for line in commands(text):
        for target in re.findall(r"(?:^|&& |; )(?:[A-Z_]+=\S+ )*make ([a-z][\w-]*)", line):
            if target not in named.targets:
                yield f"make {target}: the Makefile has no such target"
        for preset in re.findall(r"--preset[ =]([\w-]+)", line):
            if preset not in named.presets:
                yield f"--preset {preset}: CMakePresets.json has no such preset"
        for program in re.findall(r"build/[\w-]+/(?:examples|benchmarks)/([\w-]+)", line):
            if program not in named.programs:
                yield f"{program}: no such program is built"
        for script in re.findall(r"(?:^|[\s=])((?:tools|tests|benchmarks|examples)/[\w./-]+\.(?:py|sh|toml|csv))\b", line):
            if not (ROOT / script).exists():
                yield f"names {script}, which does not exist"
        for option in re.findall(r"(?:^|\s)(--[a-z][\w-]*)", line):
            if option not in named.options:
                yield f"{option}: nothing reads such an option"


def wrong_links(path, text):
    for header in re.findall(r"<[\w/]+\.hpp>", re.sub(r"(`+).+?\1", "", FENCE.sub("", text), flags=re.S)):
        yield f"{header} is shown as nothing: a page takes it for HTML; put it in backticks"
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        page = path.parent / file if file else path
        if not page.exists():
            yield f"the link {target} leads nowhere"
        elif anchor and page.suffix == ".md" and anchor not in slugs(text if page == path else page.read_text(encoding="utf-8")):
            yield f"the link {target} leads to no heading"
    for target in re.findall(r"`([\w./-]+)`", FENCE.sub("", text)):
        if target.startswith(FOLDERS) and not re.search(r"WORD|NAME|SDnnn", target) and not (ROOT / target).exists():
            yield f"names {target}, which does not exist"


PAPERS = {"SAGE": 32, "BF": 19, "LAD": 13, "FLT": 22, "EDGE": 15}
STATES = ("done", "simulated", "modelled", "in part", "data missing", "not built")


def wrong_papers(text):
    """Each row of docs/papers.md once and in order, in five cells, with a known state; what is there names a test of ours."""
    rows = re.findall(r"^\| ((?:%s)-\d+) \|(.*)\|$" % "|".join(PAPERS), text, re.M)
    wanted = [f"{paper}-{n:02}" for paper, last in PAPERS.items() for n in range(1, last + 1)]
    if [row for row, _ in rows] != wanted:
        yield f"expected the rows {wanted[0]} to {wanted[-1]} once each, in order; found others from {next((f for f, w in zip([r for r, _ in rows] + [''], wanted) if f != w), 'the end')!r} on"
    for row, cells in rows:
        cells = [cell.strip() for cell in cells.split(" |")]
        if len(cells) != 4:
            yield f"{row}: expected 5 cells, found {len(cells) + 1}"
        elif not cells[3].startswith(STATES):
            yield f"{row}: expected a state that begins with one of {', '.join(STATES)}, found {cells[3]!r}"
        elif cells[3].startswith(STATES[:3]) and "](../tests/" not in cells[2]:
            yield f"{row}: {cells[3].split(';')[0]}, but no test of ours is named"


def check_links():
    named, found = Named(), []
    found += [f"docs/papers.md: {what}" for what in wrong_papers((ROOT / "docs" / "papers.md").read_text(encoding="utf-8"))]
    for path in pages():
        text = path.read_text(encoding="utf-8")
        found += [f"{path.relative_to(ROOT)}: {what}" for what in [*wrong_links(path, text), *wrong_in_commands(text, named)]]
    print("\n".join([*found, f"{len(pages())} pages, {len(found)} broken links, paths and commands"]))
    return 1 if found else 0


def self_test():
    """Every kind of error is found where it is planted, and what is right is not."""
    named, path = Named(), ROOT / "docs" / "faq.md"
    planted = {
        "includes <splitdsl/language.hpp> only": "in backticks", "[a](nowhere.md)": "leads nowhere", "[a](errors.md#sd999)": "no heading", "[a](#nothing)": "no heading", "`tools/nothing.py`": "does not exist",
        "`make nothing`": "no such target", "`A=1 make nothing`": "no such target", "```sh\ncmake --preset nothing\n```": "no such preset",
        "```sh\nbuild/release/examples/nothing\n```": "no such program", "```sh\npython3 tests/nothing.py\n```": "does not exist",
        "```sh\ndrive \\\n    --planted-option\n```": "nothing reads", "`drive --planted-option`": "nothing reads"}
    right = ("`#include <splitdsl/language.hpp>`", "[a](errors.md#sd101)", "`make test`", "```sh\nmake demo     # make nothing\n```", "```sh\nbuild/release/examples/drive --simulate && make soak\n```", "`cmake --preset release`")
    faults = [f"{text!r} should be found: {what}" for text, what in planted.items() if not any(what in said for said in [*wrong_links(path, text), *wrong_in_commands(text, named)])]
    faults += [f"{text!r} is right, found: {said}" for text in right for said in [*wrong_links(path, text), *wrong_in_commands(text, named)]]
    papers = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    spoilt = {"expected the rows": (r"^\| SAGE-09 \|", "| SAGE-08 |"), "others from 'EDGE-16'": (r"^\| EDGE-15 \|", "| EDGE-16 |"), "SAGE-05: expected 5 cells, found 4": (r"^\| SAGE-05 \|[^|]*\|", "| SAGE-05 |"),
              "SAGE-05: expected a state": (r"^(\| SAGE-05 .*\|)[^|]*\|$", r"\1 finished |"), "SAGE-05: done": (r"^(\| SAGE-05 .*\|)[^|]*\|[^|]*\|$", r"\1 F | done |")}
    faults += [f"docs/papers.md with {old!r} as {new!r} should be found: {what}" for what, (old, new) in spoilt.items()
               if not any(what in said for said in wrong_papers(re.sub(old, new, papers, flags=re.M)))]
    planted |= spoilt
    print("\n".join([*faults, f"{len(planted)} planted errors, {len(faults)} faults"]))
    return 1 if faults else 0


def check_words():
    """One word, one header, one page: the pages are made from the headers' comments, so they must be what the tool would write."""
    return subprocess.run([sys.executable, str(ROOT / "tools" / "make_reference.py"), "--check"], check=False).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--links", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--headers", action="store_true")
    parser.add_argument("--words", dest="reference", action="store_true")
    arguments = parser.parse_args()
    if arguments.reference:
        return check_words()
    if arguments.headers:
        return check_headers(arguments.compiler)
    if arguments.self_test:
        return self_test()
    return check_links() if arguments.links else check_blocks(arguments.compiler, arguments.words, arguments.jobs)


if __name__ == "__main__":
    sys.exit(main())
