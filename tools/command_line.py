# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""How a tool answers wrong options and files: with one sentence, no traceback."""
import argparse
import math

import packages


def whole_number(least, most=2 ** 31 - 1):
    """For argparse's `type`: a whole number within bounds."""
    def parse(text):
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, found {text[:40]}")
        return number
    return parse


def at_least_zero(text):
    """The same for a finite number of 0 or more."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, found {text[:40]}")
    return number


def run(main):
    """Runs a program's `main`. A file that cannot be opened, or does not hold what it should (ValueError), ends it with a sentence and status 1."""
    try:
        main()
    except OSError as problem:
        raise SystemExit(f"{packages.program()}: " + (f"{problem.filename}: " if problem.filename is not None else "") + (problem.strerror or str(problem))) from None
    except ValueError as problem:
        raise SystemExit(f"{packages.program()}: {problem}") from None
