"""The check of an Annoy index before any process searches it.

Annoy trusts its file: a child number outside the file crashes the process that
searches it, and trees in a ring never end. The file is an array of nodes of equal size:

    n_descendants int32 │ children[0], children[1] int32 │ vector float32 × n_factors

    item 0 … item n-1 │ inner nodes and leaves │ a copy of each root
    item:  1 descendant; its norm lies where another node has its first child
    inner: more descendants than fit into a leaf; both children come before it
    leaf:  its items lie from `children` on, over the vector

Source:
    Annoy 1.17.3, `src/annoylib.h`: `Angular::Node`, `_make_tree`, `load`, `_get_all_nns`.
"""

import math
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_WORD_BYTES: Final = 4
_N_HEAD_WORDS: Final = 3  # before the vector


def check_index(path: Path, n_factors: int) -> None:
    """Check the range of every number in an index that a search may follow.

    The descendants of a node are at least the sum of its children's, so a search
    visits each item once a tree at most, whatever the children are.

    Args:
        path: File of the index, which is not empty.
        n_factors: Length of its vectors.

    Raises:
        OSError: It cannot be read.
        ValueError: A search in it could leave the file, or not end.
    """
    n_words = _N_HEAD_WORDS + n_factors
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if len(content) % (n_words * _WORD_BYTES):
            raise ValueError(f"{path.name}: has a part of a node at its end")
        with memoryview(content) as raw, raw.cast("i") as words, raw.cast("f") as floats:
            n_items = words[len(words) - n_words]
            if not 1 <= n_items <= len(words) // n_words:
                raise ValueError(f"{path.name}: says that it has {n_items} items")
            _check_items(path.name, words, floats, n_words, n_items)
            _check_trees(path.name, words, floats, n_words, n_items)


def _check_items(
    name: str, words: "memoryview[int]", floats: "memoryview[float]", n_words: int, n_items: int
) -> None:
    n_descendants = words[: n_items * n_words : n_words].tolist()
    if min(n_descendants) < 0 or max(n_descendants) > 1:
        raise ValueError(f"{name}: an item has descendants")
    if not math.isfinite(sum(floats[1 : n_items * n_words : n_words].tolist())):
        raise ValueError(f"{name}: a norm is not a number")
    for at in range(0, n_items * n_words, n_words):
        if not math.isfinite(sum(floats[at + _N_HEAD_WORDS : at + n_words])):
            raise ValueError(f"{name}: item {at // n_words} has a value that is not a number")


def _check_trees(
    name: str, words: "memoryview[int]", floats: "memoryview[float]", n_words: int, n_items: int
) -> None:
    max_leaf = n_words - 1  # item numbers that fit behind `n_descendants`
    n_below = [1] * n_items + words[n_items * n_words :: n_words].tolist()
    for node in range(n_items, len(n_below)):
        at, n_descendants = node * n_words, n_below[node]
        if not 1 <= n_descendants <= n_items:
            raise ValueError(f"{name}: node {node} has {n_descendants} descendants")
        if n_descendants <= max_leaf:
            _check_leaf(name, node, words[at + 1 : at + 1 + n_descendants].tolist(), n_items)
            continue
        left, right = words[at + 1], words[at + 2]
        is_sound = 0 <= left < node and 0 <= right < node
        if not is_sound or n_below[left] + n_below[right] > n_descendants:
            raise ValueError(f"{name}: node {node} has the children {left} and {right}")
        if not math.isfinite(sum(floats[at + _N_HEAD_WORDS : at + n_words])):
            raise ValueError(f"{name}: node {node} has a value that is not a number")


def _check_leaf(name: str, node: int, items: Sequence[int], n_items: int) -> None:
    if min(items) < 0 or max(items) >= n_items:
        raise ValueError(f"{name}: leaf {node} has an item outside 0 to {n_items - 1}")
