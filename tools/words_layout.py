# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Expressions as trees of text, and how they are broken into lines."""
import dataclasses

WIDTH, MOST_ON_A_LINE = 118, 8


@dataclasses.dataclass
class Chain:
    """Words joined by |; each with the shape of its result."""
    parts: list
    shape: tuple = ()


@dataclasses.dataclass
class Call:
    """name(first, trees...)"""
    opening: str
    trees: list
    closing: str = ")"
    shape: tuple = ()


@dataclasses.dataclass
class Atom:
    text: str
    shape: tuple = ()
    soft: bool = False      # may share a line with what stands before it


def inline(tree):
    if isinstance(tree, Atom):
        return tree.text
    if isinstance(tree, Call):
        return tree.opening + ", ".join(inline(t) for t in tree.trees) + tree.closing
    return " | ".join(inline(t) for t in tree.parts) if tree.parts else "identity()"


def count_parts(tree):
    if isinstance(tree, Chain):
        return sum(count_parts(t) for t in tree.parts)
    return 1 if isinstance(tree, Atom) else sum(count_parts(t) for t in tree.trees)


def hugged(call):
    """named(3, residual(...)): a call inside a call opens on the same line."""
    while len(call.trees) == 1:
        inner = call.trees[0]
        if isinstance(inner, Chain) and len(inner.parts) == 1:
            inner = inner.parts[0]
        if not isinstance(inner, Call):
            break
        call = Call(call.opening + inner.opening, inner.trees, inner.closing + call.closing, call.shape or inner.shape)
    return call


def shape_of(tree):
    return tree.shape or (tree.parts[-1].shape if isinstance(tree, Chain) and tree.parts else None)


def lay(tree, column):
    """[(text, shape or None)] of a tree whose first character stands at `column`; the first line carries no indentation."""
    text = inline(tree)
    if isinstance(tree, Atom) or (len(text) + column <= WIDTH and count_parts(tree) <= MOST_ON_A_LINE):
        return [(text, shape_of(tree))]
    return lay_call(hugged(tree), column) if isinstance(tree, Call) else lay_chain(tree, column)


def lay_call(call, column):
    opening, trees = call.opening.rstrip(), list(call.trees)
    if len(trees) > 1 and len(first := inline(trees[0])) < 16:
        trees.pop(0)
        call = hugged(Call(f"{opening}{first}, ", trees, call.closing, call.shape))
        opening, trees = call.opening.rstrip(), list(call.trees)
    pad, lines = " " * (column + 4), [(opening, None)]
    for i, tree in enumerate(trees):
        inside = lay(tree, column + 4)
        inside[-1] = (inside[-1][0] + ",", inside[-1][1]) if i + 1 < len(trees) else (inside[-1][0] + call.closing, shape_of(call))
        lines += [(pad + inside[0][0], inside[0][1]), *inside[1:]]
    return lines


def lay_chain(chain, column):
    """One line a step of the computation; activations stay with what they follow. The bars stand two columns before the words."""
    lines, row = [], []

    def lead():
        return " " * (column - 2) + "| " if lines else ""

    def flush():
        if row:
            lines.append((lead() + " | ".join(inline(t) for t in row), row[-1].shape))
            row.clear()

    for part in chain.parts:
        width = column + sum(len(inline(t)) + 3 for t in [*row, part])
        soft = isinstance(part, Atom) and part.soft and (not row or part.shape == row[-1].shape)
        if row and not (soft and width <= WIDTH):
            flush()
        laid = lay(part, column)
        if len(laid) > 1:
            lines += [(lead() + laid[0][0], laid[0][1]), *laid[1:]]
        else:
            row.append(part)
    flush()
    return lines


def size_text(shape):
    return f"({shape[0]}, {shape[1]}, {shape[2]})"


def print_lines(lines):
    """Text with each line's shape behind it where it changed."""
    result, before = [], None
    for text, shape in lines:
        if shape and shape != before:
            before = shape
            text += f" // {size_text(shape)}"
        result.append(text)
    return "\n".join(result)
