"""The journal: one line for each change of what is served, oldest first.

    2026-11-21T03:41:07+00:00 <TAB> 42 <TAB> publish  <TAB> refresh
    2026-11-21T09:12:55+00:00 <TAB> 41 <TAB> rollback <TAB> lists of 42 look wrong

A line is appended before the change that it records. If a crash prevents the
change, the next writer appends a line that voids it.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple
from unicodedata import category

from store.durable import append_durable
from store.errors import StoreError, WriteError
from store.parse import MAX_JOURNAL_BYTES, parse_generation, parse_time, read_end

_FILE: Final = "JOURNAL"
_VOID: Final = "void"
_INVISIBLE: Final = ("Cc", "Cf", "Co", "Cn", "Zl", "Zp")  # categories of Unicode
FLIPS: Final = ("publish", "rollback", "pin", "unpin", "move", "promote")


class JournalLine(NamedTuple):
    """One line of `JOURNAL`; its fields are separated by tabs.

    Attributes:
        at: Time of the change, ISO 8601 in UTC.
        generation: Generation that was made current, or that the line is about; 0 for none.
        what: Kind: publish, rollback, pin, unpin, void, built, refused, takedown, restore; of
            experiments start, stop, move and promote.
        why: Reason in words.
    """

    at: str
    generation: int
    what: str
    why: str


def journal(store: Path) -> list[JournalLine]:
    """Return the lines of `JOURNAL`, oldest first, without torn and damaged ones.

    Raises:
        StoreError: It exists, but cannot be read.
    """
    path = store / _FILE
    try:
        content = read_end(path, MAX_JOURNAL_BYTES)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(path, f"cannot be read: {error.strerror}") from error
    text = content.decode(errors="replace")  # a torn line may end within a character
    return [line for raw in text.split("\n") if (line := _parsed(raw))]


def flips(store: Path) -> list[JournalLine]:
    """Return the lines whose flip was carried out, oldest first."""
    done: list[JournalLine] = []
    for line in journal(store):
        if line.what in FLIPS:
            done.append(line)
        elif line.what == _VOID and done and done[-1].generation == line.generation:
            done.pop()
    return done


def promoted_generations(store: Path) -> set[int]:
    """Return the generations that were promoted from an arm of an experiment.

    Raises:
        StoreError: `JOURNAL` exists, but cannot be read.
    """
    return {line.generation for line in journal(store) if line.what == "promote"}


def write_journal(store: Path, generation: int | None, what: str, why: str) -> None:
    """Append one line, on disk when this returns.

    Raises:
        WriteError: It could not be written.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    reason = one_line(why)
    try:
        end = "\n" if is_torn(store) else ""  # a takedown does not wait for `recover_journal`
        line = f"{at}\t{generation or 0}\t{what}\t{reason}\n"
        append_durable(store / _FILE, end + line)
    except OSError as error:
        raise WriteError(store / _FILE, f"cannot be written: {error.strerror}") from error


def one_line(why: str) -> str:
    """Return a reason as one line of visible text.

    Control, formatting and bidirectional characters would forge lines, colour a terminal
    or show another text than the file holds. What is not Unicode, as `argv` and JSON may
    contain, becomes "?".
    """
    text = " ".join(why.split()).encode(errors="replace").decode()
    return "".join(char for char in text if category(char) not in _INVISIBLE)


def recover_journal(store: Path, current: int | None) -> None:
    """Complete a line that a power cut tore, and void a flip that was not carried out.

    The caller holds `writing`.
    """
    if is_torn(store):
        append_durable(store / _FILE, "\n")
    done = flips(store)
    if done and done[-1].generation != current:
        write_journal(store, done[-1].generation, _VOID, f"no flip followed {done[-1].at}")


def is_torn(store: Path) -> bool:
    """Return whether a power cut tore the last line, or there is none."""
    try:
        return not read_end(store / _FILE, 1).endswith(b"\n")
    except FileNotFoundError:
        return False


def _parsed(text: str) -> JournalLine | None:
    fields = text.split("\t", 3)
    if len(fields) != len(JournalLine._fields):
        return None
    at, generation, what, why = fields
    try:
        parse_time(at)
        return JournalLine(at, 0 if generation == "0" else parse_generation(generation), what, why)
    except ValueError:
        return None
