"""The benchmarks' harness: arguments, processes, servers, tables and figures."""

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness.arguments import (
    non_negative_int,
    port,
    positive_float,
    positive_int,
    share,
    some_of,
)
from benchmarks.harness.data_sets import ML_100K
from benchmarks.harness.errors import RefusedError
from benchmarks.harness.processes import (
    core_seconds,
    private_mib,
    processes_of,
    raise_priority,
    threads_of,
    wait_until,
)
from benchmarks.harness.report import print_figure
from benchmarks.harness.servers import Command, Servers
from benchmarks.harness.tables import print_table

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (positive_int, {"1": 1, "27000": 27_000}, ["0", "-3", "1.5", "", "one", "²"]),
        (non_negative_int, {"0": 0, "42": 42}, ["-1", "1e3", ""]),
        (port, {"0": 0, "65535": 65_535}, ["65536", "-1", "http"]),
        (positive_float, {"0.5": 0.5, "1e3": 1000.0}, ["0", "-1", "inf", "nan", "fast"]),
        (share, {"0": 0.0, "0.25": 0.25, "1": 1.0}, ["-0.1", "1.1", "nan", "half"]),
        (some_of(("a", "b"), "letter"), {"a": ["a"], "b,a": ["b", "a"]}, ["c", "a,c", ""]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_arguments_accept_valid_values_alone(read, good, bad):
    """Each type returns the value of valid text and refuses other text."""
    assert {text: read(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError):
            read(text)


@pytest.mark.parametrize(
    ("module", "option"),
    [
        ("fallback", "--items"),
        ("quality", "--threads"),
        ("refresh.__main__", "--users"),
        ("refresh.__main__", "--views"),
        ("resilience.__main__", "--users"),
        ("resilience.__main__", "--rate"),
        ("rules", "--threads"),
        ("serving.__main__", "--rounds"),
        ("serving.footprint", "--requests"),
        ("serving.latency", "--seconds"),
        ("store.__main__", "--users"),
        ("takedown", "--users"),
        ("topk.__main__", "--rounds"),
    ],
)
def test_a_negative_number_is_wrong_usage(capsys, module, option):
    """Every benchmark refuses -3 with exit status 2 and a message that names the option."""
    main = importlib.import_module(f"benchmarks.{module}").main
    with pytest.raises(SystemExit, match="2"):
        main([option, "-3"])
    assert f"argument {option}: must be a whole number from 1, not '-3'" in capsys.readouterr().err


def test_servers_end_with_their_children(tmp_path):
    """A child of a command, in a process group of its own, ends with the servers."""
    busy = [sys.executable, "-c", "print('ready', flush=True)\nwhile True: pass"]
    code = f"import subprocess; subprocess.Popen({busy!r}, process_group=0).wait()"
    with Servers("parent", [Command([sys.executable, "-c", code])], folder=tmp_path) as servers:
        [pid] = servers.pids()
        wait_until(lambda: "ready" in servers.log.read_text())
        assert len(processes_of(pid)) == 2
        assert 0 < wait_until(servers.core_seconds) <= core_seconds([pid])
    assert processes_of(pid) == []


def test_commands_get_their_input_and_environment(tmp_path):
    """Standard input and variables are those of the command; its output goes to the log."""
    code = "import os, sys; print(os.environ['NAME'], sys.stdin.read())"
    command = Command([sys.executable, "-c", code], {"NAME": "Marquee"}, b"hello")
    with Servers("echo", [command], folder=tmp_path) as servers:
        wait_until(lambda: "Marquee hello" in servers.log.read_text())


def test_a_command_that_ends_is_reported_with_its_log(tmp_path):
    """The error holds exit status and last lines."""
    command = Command([sys.executable, "-c", "raise SystemExit('no such table')"])
    with Servers("broken", [command], folder=tmp_path) as servers:

        def has_ended():
            try:
                servers.check()
            except RefusedError as error:
                return str(error)
            return ""

        assert wait_until(has_ended).startswith("broken: ended with 1: no such table; ")


def test_processes_are_parsed_whatever_their_name(tmp_path):
    """A name with blanks and parentheses does not shift the fields."""
    program = tmp_path / "a) b (c"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "600"], start_new_session=True) as process:
        try:
            found = wait_until(
                lambda: next((one for one in processes_of(process.pid) if one.name[0] == "a"), None)
            )
            assert (found.pid, found.name, found.parent) == (process.pid, "a) b (c", os.getpid())
            assert (found.group, found.session) == (process.pid, process.pid)
            assert threads_of(process.pid) == [process.pid]
            assert private_mib(process.pid) > 0
        finally:
            process.kill()


def test_priority_is_that_of_the_session_alone():
    """Where it is not permitted, or sessions have none, nothing changes."""
    with subprocess.Popen(SLEEP, start_new_session=True, stdout=subprocess.PIPE) as process:
        group = Path(f"/proc/{process.pid}/autogroup")
        own = Path("/proc/self/autogroup").read_text() if group.exists() else ""
        raise_priority(process.pid)
        if os.geteuid() == 0 and group.exists():
            assert group.read_text().endswith(" nice -10\n")
            assert Path("/proc/self/autogroup").read_text() == own
        process.kill()


def test_waiting_ends_with_an_error():
    """A condition that stays false is a TimeoutError."""
    with pytest.raises(TimeoutError, match="still false after 0 s"):
        wait_until(lambda: False, 0, poll_seconds=0)


def test_tables_are_aligned_markdown(capsys):
    """Columns have the width of their longest cell; nothing goes to standard output."""
    print_table(("name", "n"), [("marquee", "1"), ("", "1,000")])
    output = capsys.readouterr()
    assert output.err.splitlines() == [
        "| name    | n     |",
        "| ------- | ----- |",
        "| marquee | 1     |",
        "|         | 1,000 |",
    ]
    assert output.out == ""


def test_figures_are_json_lines(capsys):
    """One object per figure, with details and the Python version."""
    print_figure("store", "open", 0.5, "s", subject="marquee", peer="sqlite", ratio=2.0)
    figure = json.loads(capsys.readouterr().out)
    assert figure.pop("python").startswith("3.")
    assert figure == {
        "benchmark": "store", "subject": "marquee", "metric": "open", "value": 0.5, "unit": "s",
        "peer": "sqlite", "ratio": 2.0,
    }  # fmt: skip


def test_a_data_set_exists_with_its_events(tmp_path):
    """Only the file of the interactions counts."""
    assert not ML_100K.exists(tmp_path)
    (tmp_path / "ml-100k").mkdir()
    (tmp_path / ML_100K.events).touch()
    assert ML_100K.exists(tmp_path)
