#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Writes docs/reference/WORD.md for each word, from the comments of include/splitdsl/lang/WORD.hpp, and the index README.md.

The header is the one source: what is written there about shapes, refusals, weights and papers cannot drift from the page.
Pages without the generated mark are written by hand and left alone (but listed).

    make_reference.py           write the pages
    make_reference.py --check   only say which pages are missing or old
"""
import argparse
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
WORDS = ROOT / "include" / "splitdsl" / "lang"
PAGES = ROOT / "docs" / "reference"
MARK = "<!-- made by tools/make_reference.py from {source}; edit the comments there -->"
MACHINERY = {"op"}  # headers of lang/ that hold no word

GROUPS = {
    "Inputs": "input normalise",
    "Layers": "conv conv_transpose dense batch_norm relu relu6 leaky_relu hard_swish hard_sigmoid sigmoid tanh softmax"
              " max_pool avg_pool global_pool upsample pad pad_channels slice_channels subsample flatten identity"
              " l2_normalise radix_softmax gdn igdn",
    "Joining": "residual projection add concat multiply select repeat named tap from",
    "Stages and cuts": "head tail bottleneck cut stream dynamic_pool widths by_sizes early_exit fan_in fan_out fuse",
}


def entities(text):
    """(comment, declaration) of each documented entity outside namespace detail."""
    text = re.sub(r"^namespace detail \{.*?^\} // namespace detail$", "", text, flags=re.M | re.S)
    found = []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        if not lines[at].startswith("///"):
            at += 1
            continue
        comment = []
        while at < len(lines) and lines[at].startswith("///"):
            comment.append(lines[at][4:])
            at += 1
        if comment[0].startswith("@file"):
            found.append((comment[1:], ""))
            continue
        declaration = []
        while at < len(lines) and lines[at].strip():
            declaration.append(lines[at])
            at += 1
        found.append((comment, shorten(declaration)))
    return found


def shorten(lines):
    """A type keeps its members, a function loses its body and a variable keeps its value."""
    text = "\n".join(lines)
    first = text.split("\n")[1] if text.startswith("template") and "\n" in text else text
    if re.match(r"\s*(struct|enum|inline constexpr|concept|using)\b", first):
        return text.rstrip()
    functions = []
    for match in re.finditer(r"^(?:template <[^\n]*>\n)?constexpr [^\n]*?\)(?= *(?:\{|$))", text, re.M):
        functions.append(match.group(0) + ";")
    return "\n".join(functions) or text.split("{")[0].rstrip() + ";"


def page(path):
    source = path.relative_to(ROOT)
    parts = entities(path.read_text(encoding="utf-8"))
    sentence = " ".join(line.strip() for line in parts[0][0])
    lines = [f"# {path.stem}", "", MARK.format(source=source), "", sentence, "", "```cpp", f"#include <{path.relative_to(ROOT / 'include')}>  // or <splitdsl/language.hpp>", "```"]
    for comment, declaration in parts[1:]:
        lines += ["", "```cpp", declaration, "```", "", *comment]
    codes = sorted(set(re.findall(r"SD\d{3}", "\n".join(lines))))
    if codes:
        lines += ["", "Refusals: " + ", ".join(f"[{code}](../errors.md#{code.lower()})" for code in codes) + "."]
    lines += ["", "Since 0.1.0. All words: [README.md](README.md).", ""]
    return "\n".join(lines)


def index(words, others):
    grouped = {name for names in GROUPS.values() for name in names.split()}
    groups = {title: [name for name in names.split() if name in words] for title, names in GROUPS.items()}
    if rest := sorted(words - grouped):
        groups["More"] = rest
    lines = ["# Reference", "", MARK.format(source="include/splitdsl/lang"), "", "One word, one header, one page, all of one name."]
    for title, names in groups.items():
        lines += ["", f"## {title}", ""]
        for name in names:
            sentence = " ".join(line.strip() for line in entities((WORDS / f"{name}.hpp").read_text(encoding="utf-8"))[0][0])
            lines.append(f"- [{name}]({name}.md): {sentence}")
    if others:
        lines += ["", "## Beyond the language", "", *[f"- [{name}]({name}.md)" for name in sorted(others)]]
    return "\n".join([*lines, ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    words = {path.stem for path in WORDS.glob("*.hpp")} - MACHINERY
    pages = {f"{name}.md": page(WORDS / f"{name}.hpp") for name in words}
    others = {path.stem for path in PAGES.glob("*.md")} - words - {"README"}
    pages["README.md"] = index(words, others)
    old = []
    for name, text in sorted(pages.items()):
        path = PAGES / name
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        if present and "tools/make_reference.py" not in present:
            continue
        if present != text:
            old.append(name)
            if not check:
                PAGES.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    print(f"{len(pages)} pages, {len(old)} {'missing or old: ' + ', '.join(old) if check else 'written'}")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main())
