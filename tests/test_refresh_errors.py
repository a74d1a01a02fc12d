"""A refresh that fails, by its input or its disk, leaves the store unchanged."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from batch.__main__ import main
from store.check import broken_records
from store.pointer import current, current_or_none
from store.snapshot import open_snapshot
from tests.histories import History, write_history
from tests.refreshes import files_by_name, inputs, run_refresh

_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.chdir(tmp_path)  # the quarantine is made in `var`
    return write_history(tmp_path / "history")


@pytest.fixture
def published(history, tmp_path, capsys) -> Path:
    """A store with one valid snapshot, which must not be changed."""
    run_refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    return tmp_path / "store"


# Bad input

LINE = "2026-03-01T10:00,{user},GET /data/m/film+{item}+1951/1.mpg\n"

BAD_EVENTS = {
    "missing": (None, "no such file"),
    "empty": ("", "is empty"),
    "blank": ("\n\n", "is empty"),
    "prose": ("It was a dark and stormy night.\n", "is not a file of events"),
    "binary": ("\x00ELF\x01\x02\x03\x00\n\x00", "is not a file of events"),
    "program": ("\x7fELF\x01\x02\x03\x00\n\x00", "is a program, which is not read"),
    "parquet": ("PAR1 but not really\nPAR1", "cannot be read as Parquet"),
    "gzip": ("\x1f\x8b\x08\x00broken", "is not a whole gzip file"),
    "only broken lines": ("2026-03-01 10:00,1,GET /data/m/x/1.mpg\n" * 9, "lines are broken"),
    "single user": ("".join(LINE.format(user=1, item=i) for i in range(9)), "0 user(s)"),
    "single item": ("".join(LINE.format(user=u, item=1) for u in range(9)), "1 item(s)"),
}


@pytest.mark.parametrize(("text", "message"), BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
def test_bad_events_end_with_one_clear_message(published, tmp_path, capsys, text, message):
    """Each error has the subject, the problem and the remedy; the store is unchanged."""
    before = files_by_name(published)
    path = tmp_path / "bad"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    assert main(["refresh", "--events", str(path), "--store", str(published)]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("refresh failed: ")
    assert message in last
    assert "; " in last, "the remedy is at the end"
    assert files_by_name(published) == before


def test_a_catalogue_without_a_matching_item_is_an_error(history, published, tmp_path, capsys):
    """The message has the number of dropped events."""
    before = files_by_name(published)
    other = tmp_path / "other.csv"
    other.write_text("movieID\nanother+film+2001\n")
    bad = ["--events", history.events, "--catalogue", other, "--store", published]
    assert main(["refresh", *map(str, bad)]) == 1
    assert "item outside the catalogue" in capsys.readouterr().err
    assert files_by_name(published) == before


def test_a_refresh_without_events_is_an_error(history, published, capsys):
    """If neither options nor configuration name events, the message names the option."""
    assert main(["refresh", "--store", str(published)]) == 1
    assert "--events" in capsys.readouterr().err


def test_wrong_usage_exits_2(capsys):
    """An unknown option is wrong usage."""
    with pytest.raises(SystemExit) as end:
        main(["refresh", "--evnets", "x"])
    assert end.value.code == 2
    assert "--evnets" in capsys.readouterr().err


# Disks

# Root may write anywhere, unless this capability is dropped.
_WITHOUT_OVERRIDE = ("setpriv", "--bounding-set", "-dac_override", "--") if os.getuid() == 0 else ()


def run(*arguments: object, prefix=(), **kwargs) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-m", "batch", "refresh", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=100, **kwargs
    )


def test_a_full_disk_leaves_the_store_unchanged(history, published):
    """When a file cannot grow any more, the refresh fails and leaves no file behind."""
    before = files_by_name(published)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    end = run(*inputs(history), "--store", published, preexec_fn=limit)
    assert end.returncode == 1
    assert "File too large" in end.stderr.splitlines()[-1]
    assert "Traceback" not in end.stderr
    assert files_by_name(published) == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small tmpfs")
def test_a_full_tmpfs_leaves_the_store_unchanged(history, tmp_path, capsys):
    """The same on a file system that is full."""
    mounted = tmp_path / "small"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=450k", "tmpfs", str(mounted)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let root mount")
    try:
        store = mounted / "store"
        run_refresh(capsys, *inputs(history), "--store", store)
        before = files_by_name(store)
        (mounted / "ballast").write_bytes(b"x" * 50_000)
        while main(["refresh", *map(str, inputs(history)), "--store", str(store)]) == 0:
            before = files_by_name(store)
        assert "the disk is full" in capsys.readouterr().err.splitlines()[-1]
        assert files_by_name(store) == before
        with open_snapshot(store, current(store)) as snapshot:
            assert list(broken_records(snapshot)) == []
    finally:
        # lazily: an error that is kept may hold a file of the failed refresh open
        subprocess.run(["umount", "--lazy", str(mounted)], check=True)


def test_a_store_without_write_permission_is_an_error(history, tmp_path):
    """The refresh fails before any work."""
    store = tmp_path / "locked"
    store.mkdir(mode=0o555)
    end = run(*inputs(history), "--store", store, prefix=_WITHOUT_OVERRIDE)
    assert end.returncode == 1
    assert end.stderr.startswith(f"refresh failed: {store}: ")
    assert current_or_none(store) is None
    assert list(store.iterdir()) == []
