"""Floods: made-up accounts watch one item, between the unchanged lines of real users."""

import numpy as np
import pytest

from benchmarks.simulator.history.strict import is_sound
from benchmarks.simulator.live.faults.flood import Flood
from benchmarks.simulator.live.stream.times import seconds_of
from benchmarks.simulator.log_formats import LOG_FORMATS
from tests.benchmarks.fault_lines import (
    BATCH_SECONDS,
    ITEM,
    LINES,
    WORLD,
    kinds,
    n_lines,
    run_faults,
    seconds,
)


@pytest.mark.parametrize("log_format", LOG_FORMATS)
def test_a_flood_has_the_specified_views_by_new_accounts(log_format):
    """Merged in order of time, minute by minute; real lines stay unchanged."""
    spec = f"5s flood item={ITEM} accounts=20 views=300 minutes=3 rating=5 for=10s"
    lines, (record,) = run_faults(spec, log_format=log_format)
    accounts = {b"%d" % account for account in record["accounts"]}
    assert len(accounts) == 20
    assert not accounts & {b"%d" % user for user in WORLD.users.ids.tolist()}
    fake = [line for line in lines if line.split(b",")[1] in accounts]
    assert [line for line in lines if line not in set(fake)] == LINES[log_format]
    assert seconds(lines) == sorted(seconds(lines))
    assert all(map(is_sound, fake))
    seen = kinds(fake)
    accounts_opened = {b"/create_account": 20} if log_format == "2026" else {}
    assert seen == {b"/data/m/": 900, b"/rate/": 300, **accounts_opened}
    assert {line.split(b",")[1] for line in fake} == accounts
    assert all(ITEM.encode() in line for line in fake if b"create" not in line)
    assert (record["views"], record["lines"], record["state"]) == (300, len(fake), "done")
    first = seconds_of(LINES[log_format][n_lines(log_format, 5)])
    began = [seconds_of(line) for line in fake if line.endswith(b"/0.mpg")]
    assert first <= min(began) < min(began) + 9 * BATCH_SECONDS <= max(began)
    assert max(began) <= first + 11 * BATCH_SECONDS


def test_an_unfinished_flood_is_recorded_up_to_the_end_of_the_run():
    """Later views and lines are not counted."""
    lines, (record,) = run_faults(f"25s flood item={ITEM} views=100 minutes=90 for=10s")
    assert record["state"] == "active"
    assert 20 < record["views"] < 80
    assert len(lines) - len(LINES["2022"]) == record["lines"] > record["views"]


def test_lines_of_a_made_up_view_are_a_minute_apart():
    """Like those of a real view."""
    lines, (record,) = run_faults(
        f"0s flood item={ITEM} accounts=1 views=1 minutes=4 rating=5 for=1s"
    )
    fake = [line for line in lines if b",%d," % record["accounts"][0] in line]
    assert [line.rpartition(b"/")[2] for line in fake[:4]] == [b"%d.mpg" % n for n in range(4)]
    first, *_ = began = seconds(fake)
    assert began == [first + 60 * n for n in range(5)]


def test_made_up_accounts_are_new_where_few_ids_are_free():
    """All ids below a million are taken."""
    values = {"item": ITEM, "accounts": 50, "views": 50, "minutes": 1, "rating": None}
    rng = np.random.default_rng(1)
    flood = Flood(values, 1, np.arange(1_000_000), LOG_FORMATS["2022"], rng)
    assert len(set(flood.accounts)) == 50
    assert min(flood.accounts) >= 1_000_000


def test_equal_floods_have_different_accounts():
    """The same specification twice is two attacks; the same run twice is equal."""
    spec = f"1s flood item={ITEM} accounts=5 views=9 for=2s"
    lines, record = run_faults(spec, spec)
    assert not set(record[0]["accounts"]) & set(record[1]["accounts"])
    assert run_faults(spec, spec) == (lines, record)
