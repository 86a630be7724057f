# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""What a tool needs beside Python, said in a sentence before it starts."""
import importlib
import pathlib
import sys

DEBIAN = {"numpy": "python3-numpy", "torch": "python3-torch", "torchvision": "python3-torchvision", "PIL": "python3-pil"}


def program():
    """The name of the program that runs, for its messages."""
    return pathlib.Path(sys.argv[0]).name


def require(*modules):
    """Ends the program with a sentence that names every module that is not installed, and the packages that have them.

    Asked for help, it prints the description that the calling script begins with: that needs none of them.
    """
    missing, problem = [], None
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as e:
            missing.append(module)
            problem = problem or e
    if missing and {"-h", "--help"} & set(sys.argv[1:]):
        print(f"{sys._getframe(1).f_globals['__doc__']}\n(the options too once Python has {', '.join(missing)})")
        raise SystemExit(0)
    if missing:
        raise SystemExit(f"{program()}: expected {', '.join(modules)} for {sys.executable}, found no {', '.join(missing)} ({problem}): "
                         f"on Debian install {' '.join(DEBIAN[m] for m in missing)} and run /usr/bin/python3")
