#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Includes point downward, and each third-party library is seen in its own place only.

    run.py              check include/ and kernels/
    run.py --self-test  the check itself finds planted errors
"""
import argparse
import pathlib
import posixpath
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A file may include files of its own layer and of those before it. Why this order: docs/design/README.md.
LAYERS = [
    ["units.hpp", "error.hpp", "detail"],
    ["lang"],
    ["graph"],
    ["check", "language.hpp"],
    ["codec", "kernels"],
    ["radio", "energy", "detect"],
    ["link", "policy", "image"],
    ["runtime"],
    ["gpu"],
    ["sim"],
    ["zoo"],
    ["splitdsl.hpp"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

# Folders on one level that must not know each other.
STRANGERS = [("policy", "link"), ("image", "link"), ("image", "policy")]

# Vocabulary: headers of plain data that lower layers may include, from the layer named here upward. In return they include
# nothing of ours but the bottom layer and other vocabulary.
VOCABULARY = {
    "check/codes.hpp": "graph",
    "runtime/pipeline.hpp": "codec",
    "runtime/parallel.hpp": "codec",
    "runtime/step_crew.hpp": "codec",
}

# Third-party library -> where it may be included, as path prefixes relative to the project.
CONTAINED = {
    r"x(tensor|tl)": ["include/splitdsl/detail/xt.hpp"],
    r"xsimd": ["kernels/simd/"],
    r"cereal": None,  # exactly one header, whichever it is
    r"(tbb|oneapi)": ["include/splitdsl/runtime/parallel.hpp"],
    r"asio": ["include/splitdsl/link/"],
    r"turbojpeg": ["include/splitdsl/image/"],
    r"png": ["include/splitdsl/image/png.hpp"],
    r"(cudnn|cuda|nvrtc|nvml)": ["kernels/cudnn/"],
}
LANGUAGE_LAYERS = {"lang", "graph", "check", "language.hpp"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def layer_of(path):
    """The layer's name of a path such as splitdsl/codec/u8.hpp or kernels/simd/conv.hpp; None if it is not ours."""
    parts = path.split("/")
    if parts[0] == "kernels":
        return "kernels"
    if parts[0] == "splitdsl" and len(parts) > 1:
        return parts[1]
    return None


def relative(path):
    return path.removeprefix("splitdsl/")


def problems_of(files):
    """files: project path -> text. Returns a list of sentences."""
    found = []
    cereal_users = []
    for name, text in sorted(files.items()):
        own = name.removeprefix("include/")
        layer = layer_of(own)
        if layer not in LEVEL:
            found.append(f"{name}: '{layer}' is in no layer; add it to LAYERS in tests/includes/run.py and to docs/design")
            continue
        for bracket, target in INCLUDE.findall(text):
            if bracket == '"':  # relative to the including file
                target = posixpath.normpath(posixpath.join(posixpath.dirname(own), target))
            other = layer_of(target)
            if other is not None:
                if other not in LEVEL:
                    found.append(f"{name}: includes {target}, which is in no layer")
                elif relative(own) in VOCABULARY and LEVEL[other] > 0 and relative(target) not in VOCABULARY:
                    found.append(f"{name}: vocabulary must not include {target}")
                elif relative(target) in VOCABULARY:
                    if LEVEL[layer] < LEVEL[VOCABULARY[relative(target)]]:
                        found.append(f"{name}: layer {layer} must not include {target}")
                elif LEVEL[other] > LEVEL[layer]:
                    found.append(f"{name}: layer {layer} must not include {target} of the higher layer {other}")
                elif (layer, other) in STRANGERS or (other, layer) in STRANGERS:
                    found.append(f"{name}: {layer} and {other} must not know each other, but {target} is included")
                continue
            for library, places in CONTAINED.items():
                if not re.match(rf"{library}(/|\.h|\.hpp|$)", target):
                    continue
                if places is None:
                    cereal_users.append(name)
                elif not any(name.startswith(place) for place in places):
                    found.append(f"{name}: includes {target}; allowed only in {', '.join(places)}")
            if layer in LANGUAGE_LAYERS and ("/" in target or target.endswith((".h", ".hpp"))):
                found.append(f"{name}: the language includes only the standard library, not {target}")
    if len(set(cereal_users)) > 1:
        found.append(f"cereal is included by {', '.join(sorted(set(cereal_users)))}; it belongs into exactly one header")
    return found


def read_files():
    paths = [*ROOT.glob("include/splitdsl/**/*.hpp"), *ROOT.glob("kernels/**/*.hpp"), *ROOT.glob("kernels/**/*.inl")]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def self_test():
    planted = {
        "upward": {"include/splitdsl/graph/a.hpp": "#include <splitdsl/runtime/edge.hpp>\n"},
        "upward, relative": {"include/splitdsl/graph/a.hpp": '#include "../runtime/edge.hpp"\n'},
        "strangers": {"include/splitdsl/policy/a.hpp": "#include <splitdsl/link/tcp.hpp>\n"},
        "strangers, image": {"include/splitdsl/image/a.hpp": "#include <splitdsl/policy/sage.hpp>\n"},
        "image above": {"include/splitdsl/image/a.hpp": "#include <splitdsl/runtime/plan.hpp>\n"},
        "CUDA": {"include/splitdsl/gpu/a.hpp": "#include <cuda.h>\n"},
        "gpu above": {"include/splitdsl/runtime/a.hpp": "#include <splitdsl/gpu/session.hpp>\n"},
        "picture formats": {"include/splitdsl/runtime/a.hpp": "#include <png.h>\n"},
        "third party": {"include/splitdsl/sim/a.hpp": "#include <asio.hpp>\n"},
        "third party folder": {"include/splitdsl/codec/a.hpp": "# include <xsimd/xsimd.hpp>\n"},
        "cereal twice": {f"include/splitdsl/codec/{n}.hpp": "#include <cereal/cereal.hpp>\n" for n in "ab"},
        "language": {"include/splitdsl/lang/a.hpp": "#include <boost/hana.hpp>\n"},
        "vocabulary": {"include/splitdsl/check/codes.hpp": "#include <splitdsl/lang/op.hpp>\n"},
        "no layer": {"include/splitdsl/misc/a.hpp": "\n"},
    }
    missed = [name for name, files in planted.items() if not problems_of(files)]
    clean = {
        "include/splitdsl/runtime/edge.hpp": "#include <splitdsl/link/tcp.hpp>\n#include <vector>\n",
        "include/splitdsl/detail/xt.hpp": "#include <xtensor/xtensor.hpp>\n",
    }
    if missed or problems_of(clean):
        print(f"planted errors that were not found: {missed}; clean files refused: {problems_of(clean)}")
        return 1
    print(f"{len(planted)} planted errors found")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-test", action="store_true")
    if parser.parse_args().self_test:
        return self_test()
    files = read_files()
    found = problems_of(files)
    print("\n".join(found + [f"{len(files)} files, {len(found)} problems"]))
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
