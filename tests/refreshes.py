"""Running a refresh in a test: the command in this process, and its inputs."""

import json
from pathlib import Path

import pytest

from batch.__main__ import main
from store.snapshot import Snapshot
from tests.histories import History


def run_refresh(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    """Run a refresh that must succeed, and return its summary."""
    status = main(["refresh", "--json", *map(str, arguments)])
    output = capsys.readouterr()
    assert status == 0, output.err
    return json.loads(output.out)


def inputs(history: History) -> tuple[object, ...]:
    """Return the options of the history's events and catalogue."""
    return ("--events", history.events, "--catalogue", history.catalogue)


def users_served_seen_items(snapshot: Snapshot, seen: dict[str, set[str]]) -> list[str]:
    """Return the users whose list holds a seen item; all users are checked."""
    return [
        user.decode()
        for user, body in snapshot.users
        if not seen[user.decode()].isdisjoint(body.decode().split(","))
    ]


def files_by_name(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files of a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
