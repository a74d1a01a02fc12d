"""What places each film of a list: computed by `python -m stream explain`, in its own process.

GET ─► result of before?  ready ─► its JSON
         └─ no ─► one child at a time, of the lowest priority ─► running: ask again

The server imports neither the models nor NumPy. Where they are not installed, a sentence says so.
"""

import contextlib
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from serve.processes import end_with_parent

_NEEDED: Final = ("stream", "batch", "numpy")
_LIMIT_SECONDS: Final = 60  # of processor time
_MAX_SECONDS: Final = 180.0  # in all, for a disk that hangs must not hang explanations for ever
_N_KEPT: Final = 8
_N_REASONS: Final = 3
_FRESH_HOURS: Final = "MARQUEE_SERVE_FRESH_HOURS"
_LOWEST_PRIORITY: Final = 19
_FIRST_TO_END: Final = "1000"  # where memory runs out, before any worker
_MAX_WORDS: Final = 400


About = Callable[[str], dict[str, Any]]


class AskedList(NamedTuple):
    """The list that is explained.

    Attributes:
        user_id: User of the list.
        generation: Generation of the list.
        made_at: Time when a fresh list was made, seconds since 1970; None for another one.
        items: Item ids of the list, which takedowns change.
    """

    user_id: str
    generation: int
    made_at: float | None
    items: tuple[str, ...]


class _Child(NamedTuple):
    asked: AskedList
    process: subprocess.Popen[bytes]
    deadline: float
    output: IO[bytes]
    errors: IO[bytes]


class Reasons:
    """Explanations of lists, each made once; for one thread.

    Args:
        store: Directory of the store.
        fresh_hours: Age in hours from which a fresh list is not used.
    """

    def __init__(self, store: Path, fresh_hours: float) -> None:
        self._store = store
        self._fresh_hours = fresh_hours
        self._child: _Child | None = None
        self._made: OrderedDict[AskedList, dict[str, Any]] = OrderedDict()

    def get(self, asked: AskedList, about: About) -> dict[str, Any]:
        """Return `state`, and the items by id once it is `ready`.

        Other states are `running`, to be asked again, and `failed`, with a `problem`.

        Args:
            asked: The list.
            about: Function from an item id to its title and the like.
        """
        if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
            return _failed(
                f"this server runs without {missing[0]}: run `python -m stream explain "
                f"{asked.user_id}` where lists are built"
            )
        self._collect(about)
        if asked in self._made:
            found = self._made.pop(asked)
            if found["state"] == "ready":  # what has failed is tried again when asked again
                self._made[asked] = found
            return found
        if self._child is None:
            self._child = self._start(asked)
        return {"state": "running"}

    def _start(self, asked: AskedList) -> _Child:
        output, errors = (os.fdopen(os.memfd_create(name), "w+b") for name in ("output", "errors"))
        process = subprocess.Popen(
            [
                sys.executable, "-m", "stream", "explain", "--json",
                "--store", str(self._store), "--generation", str(asked.generation),
                "--reasons", str(_N_REASONS), "--", asked.user_id,
            ],
            stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
            env=os.environ | {_FRESH_HOURS: str(self._fresh_hours)},
            preexec_fn=_give_way(os.getpid()),
        )  # fmt: skip
        return _Child(asked, process, time.monotonic() + _MAX_SECONDS, output, errors)

    def _collect(self, about: About) -> None:
        """Keep the result of a child that has ended."""
        if self._child is None:
            return
        if self._child.process.poll() is None:
            if time.monotonic() > self._child.deadline:
                self._child.process.kill()
            return
        with self._child.output, self._child.errors:
            self._made[self._child.asked] = _result(self._child, about)
        self._child = None
        while len(self._made) > _N_KEPT:
            self._made.popitem(last=False)


def _result(child: _Child, about: About) -> dict[str, Any]:
    """Return what a child that has ended has found."""
    child.output.seek(0)
    child.errors.seek(0)
    status = child.process.returncode
    if status:
        words = child.errors.read().decode(errors="replace").strip().rpartition("\n")[2]
        return _failed(words[:_MAX_WORDS] or f"`python -m stream explain` ended with {status}")
    items = json.loads(child.output.read())["items"]
    for one in items:
        one["because"] = [about(seen["item_id"]) | seen for seen in one["because"]]
    return {"state": "ready", "items": {one.pop("item_id"): one for one in items}}


def _failed(problem: str) -> dict[str, Any]:
    return {"state": "failed", "problem": problem}


def _give_way(parent: int) -> Callable[[], None]:
    """Return what a child does before it begins: it takes what others leave, and ends with us."""

    def give_way() -> None:
        end_with_parent(parent)
        os.nice(_LOWEST_PRIORITY)
        resource.setrlimit(resource.RLIMIT_CPU, (_LIMIT_SECONDS, _LIMIT_SECONDS))
        with contextlib.suppress(OSError):  # a container may forbid it
            Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_END)

    return give_way
