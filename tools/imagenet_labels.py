#!/usr/bin/python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Writes ImageNet's 1000 class names, one a line, as installed with torchvision (Debian: python3-torchvision).

    imagenet_labels.py FILE          then: classify --labels FILE ...
"""
import sys


def main():
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__)
        return
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    try:
        from torchvision.models._meta import _IMAGENET_CATEGORIES as names
    except ImportError as trouble:
        sys.exit(f"imagenet_labels: torchvision 0.13 or newer was expected: {trouble}")
    if len(names) != 1000:
        sys.exit(f"imagenet_labels: 1000 names were expected, found {len(names)}")
    try:
        with open(sys.argv[1], "w", encoding="utf-8") as out:
            out.write("\n".join(names) + "\n")
    except OSError as trouble:
        sys.exit(f"imagenet_labels: {sys.argv[1]}: {trouble.strerror}")


if __name__ == "__main__":
    main()
