"""The handover note between two programs, also of an earlier version."""

import json
import os

from serve.supervisor.handover import Handover

NOTE = Handover(
    sockets={"clients": 5, "workers": 6},
    address=("127.0.0.1", 8080),
    scoreboard=7,
    generation=42,
    blocked_generations=[40, 41],
    workers={0: 100, 2: 102},
    nginx=103,
    admin=104,
    runtime_dir="/tmp/marquee-x1y2z3",
)


def written(content):
    """Write a note as a program does; return its file descriptor."""
    descriptor = os.memfd_create("note")
    os.write(descriptor, json.dumps(content).encode())
    return descriptor


def test_a_note_is_read_as_it_was_written():
    """Slots are numbers again, and the address is a pair."""
    assert Handover.read(NOTE.write()) == NOTE


def test_a_note_with_the_keys_of_an_earlier_version_is_read():
    """A running server is upgraded by SIGHUP: other names, the same order."""
    earlier = {
        "sockets": {"clients": 5, "workers": 6},
        "address": ["127.0.0.1", 8080],
        "page": 7,
        "generation": 42,
        "blocked": [40, 41],
        "workers": {"0": 100, "2": 102},
        "front": 103,
        "admin": 104,
        "folder": "/tmp/marquee-x1y2z3",
    }

    assert Handover.read(written(earlier)) == NOTE


def test_a_note_without_the_latest_fields_is_read():
    """They have defaults."""
    first = {"sockets": {"clients": 5}, "address": ["::1", 80], "page": 7, "generation": 1}

    read = Handover.read(written(first))

    assert (read.address, read.generation, read.workers, read.nginx) == (("::1", 80), 1, {}, 0)
