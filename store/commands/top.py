"""`top`: a store and its server at a glance, drawn anew every few seconds until Ctrl-C.

store  ─► snapshots, pin, latest changes ──┐
server ─► figures between two answers ─────┴─► frame ─► terminal, or one frame elsewhere
"""

import argparse
import dataclasses
import math
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from store.commands.ls import listing
from store.commands.output import add_json, age, say, say_json, seconds
from store.errors import ServiceError, StoreError
from store.journal import journal
from store.service import ServiceFigures, ServiceState, ask_service, check_address, figures

_EXAMPLE: Final = """example:
  python -m store top
  python -m store top --url http://127.0.0.1:8000 --interval 5
  python -m store top --json

On a terminal it runs until Ctrl-C. Elsewhere, and with --json, it prints once; with a server
that answers, after one interval.
Exit status: 0 done, 1 the store has no snapshot, 2 wrong usage."""
_URL: Final = "http://127.0.0.1:8080"
_SCREEN_ON: Final = "\033[?1049h\033[?25l"  # the alternate screen, without a cursor
_SCREEN_OFF: Final = "\033[?25h\033[?1049l"
_HOME: Final = "\033[H"
_END_OF_LINE: Final = "\033[K"
_END_OF_SCREEN: Final = "\033[J"
_BARS: Final = " ▁▂▃▄▅▆▇█"
_N_SAMPLES: Final = 40
_N_CHANGES: Final = 5


@dataclasses.dataclass(slots=True)
class ServiceHistory:
    """The latest answers of a server.

    Attributes:
        url: Address of the server.
        states: Latest answers, the newest last.
        error: Why the last question has no answer; empty if it has one.
    """

    url: str
    states: list[ServiceState] = dataclasses.field(default_factory=list)
    error: str = ""

    def ask(self) -> None:
        """Ask the server once more."""
        try:
            self.states = [*self.states[-_N_SAMPLES:], ask_service(self.url)]
            self.error = ""
        except ServiceError as error:
            self.states, self.error = [], str(error)

    def figures(self) -> ServiceFigures | None:
        """Return the figures since the answer before, or since the server's start."""
        if not self.states:
            return None
        return figures(self.states[-1], self.states[-2] if len(self.states) > 1 else None)

    def rates(self) -> list[float]:
        """Return the requests a second between the answers, 0 where they are unknown."""
        each = (figures(now, before) for before, now in pairwise(self.states))
        return [one.requests_per_second or 0.0 for one in each]


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    about = "Show snapshots and server at a glance, again and again."
    verb = verbs.add_parser(
        "top", help=about, description=about, epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    verb.add_argument("--url", default=_URL, help=f"address of the server; default: {_URL}")
    verb.add_argument("--interval", type=seconds, default=2.0, metavar="SECONDS", help="default: 2")
    add_json(verb)
    verb.set_defaults(run=_top)


def _top(store: Path, options: argparse.Namespace) -> int:
    history = ServiceHistory(options.url)
    check_address(options.url)
    listing(store)  # raises: nothing has been published yet
    if sys.stdout.isatty() and not options.json:
        _run(store, history, options.interval)
        return 0
    history.ask()
    if not history.error:
        time.sleep(options.interval)
        history.ask()
    if options.json:
        say_json(_as_json(store, history))
    else:
        for line in frame(store, history):
            say(line)
    return 0


def _run(store: Path, history: ServiceHistory, interval: float) -> None:
    """Draw on the terminal's alternate screen until Ctrl-C."""
    sys.stdout.write(_SCREEN_ON)
    try:
        while True:
            history.ask()
            size = shutil.get_terminal_size()
            lines = [_cut(line, size.columns) for line in frame(store, history)][: size.lines - 1]
            drawn = "".join(f"{line}{_END_OF_LINE}\n" for line in lines)
            sys.stdout.write(_HOME + drawn.encode(errors="replace").decode() + _END_OF_SCREEN)
            sys.stdout.flush()
            time.sleep(interval)
    except KeyboardInterrupt:
        pass
    finally:
        sys.stdout.write(_SCREEN_OFF)


def frame(store: Path, history: ServiceHistory) -> Iterator[str]:
    """Return the lines of one picture.

    Args:
        store: Directory of the store.
        history: Latest answers of the server.
    """
    yield f"marquee  {store}  {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    yield from _service_lines(history)
    yield ""
    try:
        yield from listing(store).lines()
        changes = journal(store)[-_N_CHANGES:]
    except StoreError as error:
        yield f"store    {error}"
        return
    yield ""
    yield "latest changes"
    for line in reversed(changes):
        yield f"  {line.at}  {line.what:<8}  {line.generation or '-'}  {line.why}"


def _service_lines(history: ServiceHistory) -> Iterator[str]:
    found = history.figures()
    if found is None:
        yield f"server   {history.error}"
        return
    state = history.states[-1]
    rate, success, p99, personal = found
    yield (
        f"server   {history.url}: generation {state.generation or 'none'}, "
        f"{state.n_ready} of {state.n_workers} workers ready"
    )
    yield (
        f"         requests {_number(rate, '/s')}  success {_share(success)}  "
        f"p99 below {_number(p99, ' ms')}  personalised {_share(personal)}  "
        f"lists {'–' if state.age_seconds is None else age(state.age_seconds)} old"
    )
    if len(history.states) == 1:
        yield "         since the start of the server"
    else:
        yield f"         {_sparkline(history.rates())}"
    for alarm in state.alarms:
        yield f"alarm    {alarm}"


def _as_json(store: Path, history: ServiceHistory) -> dict[str, Any]:
    found = history.figures()
    state = history.states[-1] if history.states else None
    server = {"url": history.url, "error": history.error or None} | (
        {}
        if found is None or state is None
        else found._asdict()
        | {
            "generation": state.generation,
            "age_seconds": state.age_seconds,
            "n_ready": state.n_ready,
            "n_workers": state.n_workers,
            "alarms": list(state.alarms),
        }
    )
    return {"server": server, "store": listing(store).as_json()}


def _sparkline(values: list[float]) -> str:
    most = max(values, default=0.0)
    if not most:
        return ""
    return "".join(_BARS[math.ceil(value / most * (len(_BARS) - 1))] for value in values)


def _number(value: float | None, unit: str) -> str:
    return (
        "–" if value is None else f"{value:,.3g}{unit}" if value < 1000 else f"{value:,.0f}{unit}"
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}" if value < 1 else "100%"


def _cut(line: str, columns: int) -> str:
    """Return a line that fits, without a sign that the terminal could obey."""
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in line)
    return shown if len(shown) <= columns else f"{shown[: columns - 1]}…"
