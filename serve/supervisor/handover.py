"""The handover: what one supervisor leaves to the next, in the same process.

SIGHUP replaces the program by a new one, with new code and configuration, under
the same pid. Sockets, shared page and children stay, and this is the note that
says which they are.
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
    """Descriptors and pids that a new program finds and goes on with.

    Attributes:
        sockets: Descriptors of the listening sockets, by name.
        address: Host and port of `clients`, as they were asked for.
        page: Descriptor of the shared page.
        generation: What is served.
        blocked_generations: Generations that workers die of.
        workers: Pids by place.
        front: Pid of nginx, 0 for none.
        admin: Pid of the process that answers `/admin/`, 0 for none.
        folder: The front's directory, empty without one.
    """

    sockets: dict[str, int]
    address: tuple[str, int]
    page: int
    generation: int
    blocked_generations: list[int] = field(default_factory=list)
    workers: dict[int, int] = field(default_factory=dict)
    front: int = 0
    admin: int = 0
    folder: str = ""

    @classmethod
    def read(cls, descriptor: int) -> Self:
        """Read the note that the last program left."""
        with os.fdopen(descriptor, "rb") as note:
            note.seek(0)
            written = json.load(note)
        written["workers"] = {int(place): pid for place, pid in written["workers"].items()}
        written["address"] = tuple(written["address"])
        return cls(**written)

    def become_next(self) -> NoReturn:
        """Replace this program by the next."""
        note = os.memfd_create("marquee-handover")
        os.write(note, json.dumps(dataclasses.asdict(self)).encode())
        for descriptor in (note, self.page, *self.sockets.values()):
            os.set_inheritable(descriptor, True)
        command = [*own_command(), OPTION, str(note)]
        os.execv(command[0], command)  # noqa: S606


def own_command() -> list[str]:
    """Return the command line that this program was started with, to be run again."""
    given = sys.orig_argv[1:]
    if OPTION in given:
        given = given[: given.index(OPTION)]  # it stands last
    return [sys.executable, *given]
