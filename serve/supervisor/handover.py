"""The handover: what one supervisor leaves to the next, in the same process.

SIGHUP replaces the program by a new one, with new code and configuration, under
the same pid. Sockets, scoreboard and children stay, and this JSON note lists them.
"""

import dataclasses
import json
import os
import sys
from dataclasses import dataclass, field
from typing import Final, NoReturn, Self

OPTION: Final = "--resume"


@dataclass(frozen=True, slots=True)
class Handover:
    """File descriptors and pids that the next program continues with.

    The note is read by position, since earlier versions named some keys differently
    and a running server is upgraded by SIGHUP. So the order of the fields stays, and
    a new field comes last and has a default.

    Attributes:
        sockets: File descriptors of the listening sockets, by name.
        address: Configured host and port of `clients`.
        scoreboard: File descriptor of the scoreboard.
        generation: Generation that is served.
        blocked_generations: Generations that crash workers.
        workers: Pids of the workers by slot.
        nginx: Pid of nginx, 0 if it does not run.
        admin: Pid of the admin process, 0 if it does not run.
        runtime_dir: nginx's runtime directory, empty without nginx.
        side_workers: Pids of the side workers by slot.
        first_side_slot: Number of their first slot on the scoreboard, 0 if there were none.
        verifying: Pid of the admin process that verifies, 0 if it does not run.
        events: Pid of the admin process of posted events, 0 if it does not run.
        pages: Pid of the admin process of the pages, 0 if it does not run.
    """

    sockets: dict[str, int]
    address: tuple[str, int]
    scoreboard: int
    generation: int
    blocked_generations: list[int] = field(default_factory=list)
    workers: dict[int, int] = field(default_factory=dict)
    nginx: int = 0
    admin: int = 0
    runtime_dir: str = ""
    side_workers: dict[int, int] = field(default_factory=dict)
    first_side_slot: int = 0
    verifying: int = 0
    events: int = 0
    pages: int = 0

    @classmethod
    def read(cls, descriptor: int) -> Self:
        """Read the note of the last program, which may be of an earlier version."""
        with os.fdopen(descriptor, "rb") as note:
            note.seek(0)
            values = json.load(note).values()
        names = [field.name for field in dataclasses.fields(cls)]
        written = dict(zip(names, values, strict=False))  # an early note has fewer fields
        written["address"] = tuple(written["address"])
        for name in ("workers", "side_workers"):
            written[name] = {int(slot): pid for slot, pid in written.get(name, {}).items()}
        return cls(**written)

    def write(self) -> int:
        """Write the note into memory; return its file descriptor."""
        note = os.memfd_create("marquee-handover")
        os.write(note, json.dumps(dataclasses.asdict(self)).encode())
        return note

    def become_next(self) -> NoReturn:
        """Replace this program by the next."""
        note = self.write()
        for descriptor in (note, self.scoreboard, *self.sockets.values()):
            os.set_inheritable(descriptor, True)
        command = [*own_command(), OPTION, str(note)]
        os.execv(command[0], command)  # noqa: S606


def own_command() -> list[str]:
    """Return the command line that started this program, to be run again."""
    arguments = sys.orig_argv[1:]
    if OPTION in arguments:
        arguments = arguments[: arguments.index(OPTION)]  # it stands last
    return [sys.executable, *arguments]
