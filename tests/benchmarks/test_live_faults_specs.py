"""Fault specifications: valid ones are read, others refused with a remedy."""

import argparse
import re
from pathlib import Path

import pytest

from benchmarks.simulator.live.errors import FaultError
from benchmarks.simulator.live.faults.active import FaultSchedule
from benchmarks.simulator.live.faults.specs import KINDS, fault_argument, read_spec
from tests.benchmarks.fault_lines import (
    WORLD,
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write AT KIND key=value"),
        ("30s", "write AT KIND key=value"),
        ("30s flod item=x", f"'flod' is not a kind of fault; choose from {', '.join(KINDS)}"),
        ("soon traffic", "AT must be a time such as 30s, 5m, 2h or 1d, or now; it is 'soon'"),
        ("-3s traffic", "AT must be a time"),
        ("30s traffic by=3", "traffic has no 'by'; it has factor, for"),
        ("30s traffic factor", "'factor' must be written key=value"),
        ("30s traffic factor=", "'factor=' must be written key=value"),
        ("30s traffic factor=nan", "factor must be a number from 0 to 1,000,000; it is 'nan'"),
        ("30s traffic factor=-1", "factor must be a number from 0"),
        ("30s traffic factor=2 factor=3", "a key is given twice"),
        ("30s traffic for=0s", "for must be longer than 0s; it is '0s'"),
        ("30s traffic for=ever", "for must be a time such as 30s"),
        ("30s flood", "flood needs item=…, item id"),
        ("30s flood item=x accounts=0", "accounts must be a whole number from 1 to 10,000,000"),
        ("30s flood item=x rating=11", "rating must be a whole number from 1 to 10; it is '11'"),
        ("30s flood item=x minutes=1441", "minutes must be a whole number from 1 to 1440"),
        ("30s schema change=worse", "change must be one of extra, renamed, reordered, json"),
        ("30s edition", "edition needs to=…, one of 2022, 2024, 2026"),
        ("30s edition to=2023", "to must be one of 2022, 2024, 2026; it is '2023'"),
        ("30s jump by=0s", "by must be a time offset such as +1h"),
        ("30s jump by=+-1h", "by must be a time offset such as +1h"),
        ("30s jump by=4000d", "at most ten years; it is '4000d'"),
        ("30s noise share=2", "share must be a number from 0 to 1; it is '2'"),
        ("30s noise only=late,foo", "only must be some of foreign, item, "),
        ("30s api how=slow", "how must be one of 503, hang, refused; it is 'slow'"),
    ],
)
def test_a_malformed_specification_is_refused_with_a_remedy(text, message):
    """On the command line too."""
    with pytest.raises(FaultError, match=re.escape(message)) as refused:
        read_spec(text)
    assert f"fault {text!r}: " in str(refused.value)
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(message)):
        fault_argument(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0s flood item=nosuch", "no item 'nosuch' in the catalogue of 200 items"),
        ("0s viral item=nosuch", "no item 'nosuch' in the catalogue of 200 items"),
        ("0s shift group=90+ taste=1", "group must be made of 8-17, "),
        ("0s shift group=F/ taste=1", "group must be made of 8-17, "),
        ("0s shift group=F taste=32", "taste must be below 32 or one of drama, "),
    ],
)
def test_a_specification_with_an_unknown_name_is_refused(text, message):
    """And no fault is added."""
    faults = FaultSchedule(WORLD)
    with pytest.raises(FaultError, match=re.escape(message)):
        faults.add(text)
    assert faults.all() == []
    with pytest.raises(FaultError):
        FaultSchedule(WORLD, [read_spec(text)])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("now", 0), ("7", 7), ("0s", 0), ("1.5m", 90), ("2h", 7200), ("1d", 86_400)],
)
def test_times_have_units(text, seconds):
    """The default unit is seconds."""
    assert read_spec(f"{text} traffic").at_seconds == seconds


def test_every_kind_and_key_is_documented():
    """In the table of benchmarks/README.md, with its default."""
    text = (Path(__file__).resolve().parents[2] / "benchmarks" / "README.md").read_text()
    for name, kind in KINDS.items():
        row = re.search(rf"^\| `{name}` +\| (.*?) \|", text, re.MULTILINE)
        assert row
        for key, one in kind.keys.items():
            given = isinstance(one.default, int | float | str)
            default = f"{one.default:g}" if isinstance(one.default, float) else one.default
            assert (f"{key}={default}" if given else key) in row[1]
