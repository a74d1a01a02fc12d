"""Trouble: every kind is seen where it must be, is listed as the truth, and ends."""

import argparse
import http.client
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition

from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.history.answers import make_answers
from benchmarks.simulator.history.lines import LineMaker
from benchmarks.simulator.history.noise import KINDS as NOISES
from benchmarks.simulator.history.strict import is_sound
from benchmarks.simulator.live.audience.fault_effects import Disturbance
from benchmarks.simulator.live.errors import StreamError, TroubleError
from benchmarks.simulator.live.faults.active import Trouble
from benchmarks.simulator.live.faults.control import TroubleControl
from benchmarks.simulator.live.faults.flood import Flood
from benchmarks.simulator.live.faults.log_format import EditionChange
from benchmarks.simulator.live.faults.specs import KINDS, argument, read_order
from benchmarks.simulator.live.faults.stream import TroubledStream
from benchmarks.simulator.live.stream.brokers import Brokers
from benchmarks.simulator.live.stream.file import FileStream
from benchmarks.simulator.live.stream.kafka import KafkaStream
from benchmarks.simulator.live.stream.times import parts, seconds_of, written
from benchmarks.simulator.log_formats import EDITIONS
from benchmarks.simulator.world.items import ALWAYS, genre_profiles
from benchmarks.simulator.world.truth import Truth
from benchmarks.simulator.world.views import ViewSource
from benchmarks.simulator.world.world import make_world

WORLD = make_world(n_users=1500, n_items=200, seed=5, n_days=2)
VIEWS = ViewSource(Truth(WORLD), 6).draw(slice(0, 1500))
VIEWS = VIEWS[VIEWS["began"] >= DAY_SECONDS]
HOUR = DAY_SECONDS + 20 * 3600  # the busiest
N_BATCHES, BATCH_SECONDS = 30, 20
ITEM = WORLD.items.ids[7]
WORLD.users.joined[:10] = HOUR + 50 * np.arange(10)  # some who join while it runs


def batches(edition):
    """Return sound lines of some minutes in an edition, as a live loop sends them."""
    maker = LineMaker(WORLD, EDITIONS[edition])
    heads = maker.heads(1)
    for number in range(N_BATCHES):
        span = (HOUR + BATCH_SECONDS * number, HOUR + BATCH_SECONDS * (number + 1))
        rng = np.random.default_rng(number)
        answers = make_answers(Truth(WORLD), VIEWS, 1.0, span, rng)
        text = maker.make(VIEWS, answers, span, 1, heads, rng).to_pylist()
        yield [line.removesuffix("\n").encode() for line in text]


BATCHES = {edition: list(batches(edition)) for edition in EDITIONS}
LINES = {edition: [line for lines in parts for line in lines] for edition, parts in BATCHES.items()}


class Kept:
    """A stream that keeps what it gets."""

    def __init__(self):
        self.lines, self.n_sent, self.n_dropped, self.is_closed = [], 0, 0, False

    def send(self, lines):
        self.n_sent += len(lines)
        self.lines += lines

    def close(self):
        self.is_closed = True


def played(*orders, edition="2022", begin=0, **options):
    """Send all batches, one a second, through trouble; return the lines, and the truth."""
    trouble = Trouble(WORLD, [read_order(order) for order in orders])
    kept = Kept()
    stream = TroubledStream(kept, trouble, WORLD, EDITIONS[edition], **options)
    for number, lines in enumerate(BATCHES[edition]):
        trouble.tick(begin + number)
        stream.send(lines)
    stream.close()
    assert kept.is_closed
    assert stream.n_sent == len(kept.lines)
    return kept.lines, [happening.shown() for happening in trouble.all()]


def n_lines(edition, n_batches):
    return sum(map(len, BATCHES[edition][:n_batches]))


def seconds(lines):
    return [seconds_of(line.partition(b",")[0]) for line in lines]


def kinds(lines):
    """Count lines by what they say."""
    names = (b"/data/m/", b"/rate/", b"/create_account", b"recommendation request")
    return Counter(next(name for name in names if name in line) for line in lines)


def test_the_lines_these_tests_rest_on_are_sound_and_of_every_kind():
    """Every edition has as many of each, but for accounts."""
    for edition, lines in LINES.items():
        assert all(map(is_sound, lines))
        assert len(lines) > 3000
        assert min(kinds(lines).values()) >= 1
        assert (b"/create_account" in kinds(lines)) == (edition == "2026")


def test_quiet_times_change_nothing():
    """The twin of all the tests below; a world's trouble leaves the lines alone too."""
    world = [f"0s viral item={ITEM}", "0s traffic", "0s api", "0s shift group=F taste=3"]
    for orders in ([], ["90s noise share=1"], world):
        assert played(*orders)[0] == LINES["2022"]


@pytest.mark.parametrize("edition", EDITIONS)
def test_a_flood_is_the_views_that_were_ordered_by_accounts_that_nobody_has(edition):
    """Between the others in order of time, minute by minute; real lines stay as they are."""
    order = f"5s flood item={ITEM} accounts=20 views=300 minutes=3 rating=5 for=10s"
    lines, (truth,) = played(order, edition=edition)
    accounts = {b"%d" % account for account in truth["accounts"]}
    assert len(accounts) == 20
    assert not accounts & {b"%d" % user for user in WORLD.users.ids.tolist()}
    fake = [line for line in lines if line.split(b",")[1] in accounts]
    assert [line for line in lines if line not in set(fake)] == LINES[edition]
    assert seconds(lines) == sorted(seconds(lines))
    assert all(map(is_sound, fake))
    seen = kinds(fake)
    assert seen == {
        b"/data/m/": 900, b"/rate/": 300, **({b"/create_account": 20} if edition == "2026" else {})
    }  # fmt: skip
    assert {line.split(b",")[1] for line in fake} == accounts
    assert all(ITEM.encode() in line for line in fake if b"create" not in line)
    assert (truth["views"], truth["lines"], truth["state"]) == (300, len(fake), "done")
    first = seconds_of(LINES[edition][n_lines(edition, 5)])
    began = [seconds_of(line) for line in fake if line.endswith(b"/0.mpg")]
    assert first <= min(began) < min(began) + 9 * BATCH_SECONDS <= max(began)
    assert max(began) <= first + 11 * BATCH_SECONDS


def test_a_flood_that_is_not_over_is_told_as_far_as_it_went():
    """What lies behind the run's end is in no line, and in no count."""
    lines, (truth,) = played(f"25s flood item={ITEM} views=100 minutes=90 for=10s")
    assert truth["state"] == "active"
    assert 20 < truth["views"] < 80
    assert len(lines) - len(LINES["2022"]) == truth["lines"] > truth["views"]


def test_the_minutes_of_a_made_up_view_are_a_minute_apart():
    """As those of a real one."""
    lines, (truth,) = played(f"0s flood item={ITEM} accounts=1 views=1 minutes=4 rating=5 for=1s")
    fake = [line for line in lines if b",%d," % truth["accounts"][0] in line]
    assert [line.rpartition(b"/")[2] for line in fake[:4]] == [b"%d.mpg" % n for n in range(4)]
    first, *_ = began = seconds(fake)
    assert began == [first + 60 * n for n in range(5)]


def test_made_up_accounts_are_new_where_hardly_an_id_is_free():
    """All of a million are taken."""
    values = {"item": ITEM, "accounts": 50, "views": 50, "minutes": 1, "rating": None}
    rng = np.random.default_rng(1)
    flood = Flood(values, 1, np.arange(1_000_000), EDITIONS["2022"], rng)
    assert len(set(flood.accounts)) == 50
    assert min(flood.accounts) >= 1_000_000


def test_floods_alike_have_accounts_of_their_own():
    """The same order twice is two attacks; the same run twice is the same."""
    order = f"1s flood item={ITEM} accounts=5 views=9 for=2s"
    lines, truth = played(order, order)
    assert not set(truth[0]["accounts"]) & set(truth[1]["accounts"])
    assert played(order, order) == (lines, truth)


@pytest.mark.parametrize("made", EDITIONS)
@pytest.mark.parametrize("to", EDITIONS)
def test_another_edition_is_as_that_edition_writes_it(made, to):
    """Scale, fractions, separators and units; what happened is the same."""
    lines, (truth,) = played(f"0s edition to={to}", edition=made)
    assert all(map(is_sound, lines))
    assert (truth["first_line"], truth["last_line"]) == (1, len(lines))
    same = {b"/data/m/", b"/rate/", b"recommendation request"}
    assert {kind: n for kind, n in kinds(lines).items() if kind in same} == {
        kind: n for kind, n in kinds(LINES[to]).items() if kind in same
    }
    for form in (form_of_answers, share_of_fractions, scale):
        assert form(lines) == pytest.approx(form(LINES[to]), abs=0.05)
    events = [line.split(b",")[1:] for line in lines if b"/data/m/" in line]
    assert events == [line.split(b",")[1:] for line in LINES[made] if b"/data/m/" in line]
    if made == to:
        assert lines == LINES[to]


def form_of_answers(lines):
    """Return the lengths of the fraction, of separators and of the unit, in which all agree."""
    form = re.compile(rb"[^.,]+\.(\d+),.*?result: [^,]+(, ?)[^,]+.*?(, ?)\d+( ?ms)")
    found = {
        tuple(map(len, form.fullmatch(line).groups())) for line in lines if b"status 200" in line
    }
    (same,) = found
    return list(same)


def share_of_fractions(lines):
    minutes = [line for line in lines if b"/data/m/" in line]
    return sum(b"." in line.partition(b",")[0] for line in minutes) / len(minutes)


def scale(lines):
    """Return the mean rating, and the best."""
    rated = [int(line.rpartition(b"=")[2]) for line in lines if b"/rate/" in line]
    return [np.mean(rated) / max(rated), max(rated)]


OLD, FINE, NEW = (
    b"2026-01-02T20:02%s,5,recommendation request h:8082, status 200, result: a+1, b+2, 45 ms",
    b"2026-01-02T20:02%s,5,recommendation request h:8082, status 200, result: a+1, b+2, 45 ms",
    b"2026-01-02T20:02%s,5,recommendation request h:8082, status 200, result: a+1,b+2, 45ms",
)
RATED = b"2026-01-02T20:02%s,5,GET /rate/a=%d"
FAILED = (
    b"2026-01-02T20:02:00.345,5,recommendation request h:1, status 0, "
    b"result: java.net.ConnectException: timed out: h/1.2.3.4, 8082, 818"
)


@pytest.mark.parametrize(
    ("made", "to", "line", "becomes"),
    [
        ("2022", "2026", OLD % b":07.345", NEW % b":07.345"),
        ("2022", "2024", OLD % b":00.345", FINE % b":00.345000000"),
        ("2024", "2022", FINE % b":00.345678901", OLD % b":00.345"),
        ("2024", "2026", FINE % b":07.345678901", NEW % b":07.345"),
        ("2026", "2022", NEW % b":07.345", OLD % b":07.345"),
        ("2022", "2026", FAILED + b" ms", FAILED + b"ms"),
        ("2026", "2022", FAILED + b"ms", FAILED + b" ms"),
        ("2026", "2022", RATED % (b":00.345", 7), RATED % (b"", 4)),
        ("2026", "2024", RATED % (b":01.345", 8), RATED % (b":01", 4)),
        ("2022", "2026", RATED % (b"", 1), RATED % (b":00.001", 1)),
    ],
    ids=[
        *("new", "finer", "coarser", "newest", "older", "failed", "failed-older"),
        *("rating", "stars", "half-stars"),
    ],
)
def test_a_line_in_another_edition(made, to, line, becomes):
    """Known answers, where chance always says 0."""
    change = EditionChange(EDITIONS[made], EDITIONS[to], (), Zero())
    assert list(change.lines([line])) == [becomes]


class Zero:
    """Chance that always says 0."""

    def random(self, n):
        return np.zeros(n)


def test_a_newer_edition_tells_of_newcomers_once():
    """Users who are there already open no account; an older one takes accounts away."""
    joined = WORLD.users.joined
    before = joined.copy()
    joined[:] = ALWAYS
    late = [line.split(b",")[1] for line in LINES["2022"][-300:] if b"/data/m/" in line]
    early = {line.split(b",")[1] for line in LINES["2022"][:-300]}
    new = next(user for user in late if user not in early)
    row = int(np.searchsorted(WORLD.users.ids, int(new)))
    try:
        joined[row] = HOUR + 10**6
        lines, _ = played("2s edition to=2026 for=100s")
    finally:
        joined[:] = before
    told = [line for line in lines if line.endswith(b"GET /create_account")]
    place = lines.index(told[0])
    assert [line.split(b",")[1] for line in told] == [new]
    assert lines[place + 1].split(b",")[1] == new
    assert b"/create_account" not in kinds(played("0s edition to=2022", edition="2026")[0])


@pytest.mark.parametrize(("by", "seconds"), [("-1h", -3600), ("+90s", 90), ("2d", 2 * DAY_SECONDS)])
@pytest.mark.parametrize("edition", EDITIONS)
def test_a_jump_moves_every_time_and_nothing_else(edition, by, seconds):
    """Seconds of 00 are left out where they are now."""
    lines, (truth,) = played(f"4s jump by={by} for=6s", edition=edition)
    first, last = truth["first_line"], truth["last_line"]
    assert first - 1 == n_lines(edition, 4)
    assert last == n_lines(edition, 10)
    original = LINES[edition]
    assert [lines[: first - 1], lines[last:]] == [original[: first - 1], original[last:]]
    for line, other in zip(lines[first - 1 : last], original[first - 1 : last], strict=True):
        (at, _, rest), (was, _, before) = line.partition(b","), other.partition(b",")
        assert rest == before
        assert at == written(seconds_of(was) + seconds, parts(was)[1])


def test_jumps_add_up():
    """Forth and back again."""
    assert played("0s jump by=+1h", "0s jump by=-3600s")[0] == LINES["2022"]


@pytest.mark.parametrize(
    ("change", "form"),
    [
        ("extra", rb"@,\d+,(GET|recommendation request) .*,web"),
        ("renamed", rb"@,\d+,(GET /v2/movies/.*\.mpg|POST /v2/(ratings/.*=\d+|accounts)|"
                    rb"recommendation [^ ]+, status .*)"),
        ("reordered", rb"\d+,@,(GET|recommendation request) .*"),
        ("json", rb'\{"time": "@", "user_id": "\d+", "event": "(GET|recommendation request) .*"\}'),
    ],
    ids=["extra", "renamed", "reordered", "json"],
)  # fmt: skip
def test_a_change_of_schema_concerns_every_line_and_none_parses(change, form):
    """From its first line to its last."""
    lines, (truth,) = played(f"3s schema change={change} for=20s", edition="2026")
    first, last = truth["first_line"], truth["last_line"]
    pattern = re.compile(form.replace(b"@", rb"\d{4}-\d\d-\d\dT[0-9:.]+"))
    for number, (line, was) in enumerate(zip(lines, LINES["2026"], strict=True), 1):
        if first <= number <= last:
            assert pattern.fullmatch(line)
            assert not is_sound(line)
        else:
            assert line == was
    assert first > 1
    assert last < len(lines)


@pytest.mark.parametrize("kind", NOISES)
def test_noise_breaks_the_lines_that_it_lists_and_no_other(kind):
    """One kind at a time, with the strict patterns' verdict on each."""
    share = 1 if kind in {"rating", "number"} else 0.1
    lines, (truth,) = played(f"3s noise share={share} only={kind} for=20s", edition="2026")
    broken = truth["broken"]
    assert len(broken) >= 20
    assert {row[1] for row in broken} == {kind}
    for number, _, verdict in broken:
        assert truth["first_line"] <= number <= truth["last_line"]
        assert is_sound(lines[number - 1]) == (verdict == "parses")
    listed = {number for number, _, _ in broken}
    rest = [line for number, line in enumerate(lines, 1) if number not in listed]
    moved = {"late": len(broken), "joined": 2 * len(broken), "duplicate": 0, "blank": 0}
    missing = Counter(LINES["2026"]) - Counter(rest)
    assert not Counter(rest) - Counter(LINES["2026"])
    assert sum(missing.values()) == moved.get(kind, len(broken))


def test_noise_of_all_kinds_upon_other_trouble_is_listed_by_the_same_numbers():
    """Floods and a new edition come first, noise has the last word."""
    orders = (f"0s flood item={ITEM} views=200 for=20s", "0s edition to=2026", "1s noise share=0.1")
    lines, (_, _, truth) = played(*orders)
    assert len({row[1] for row in truth["broken"]}) > 8
    rejected = {number for number, line in enumerate(lines, 1) if not is_sound(line)}
    assert rejected == {number for number, _, verdict in truth["broken"] if verdict == "rejected"}


def test_lines_wait_while_kafka_is_down_and_come_in_order_afterwards():
    """All of them; what comes later waits for them."""
    trouble = Trouble(WORLD, [read_order("3s kafka for=4s")])
    kept = Kept()
    stream = TroubledStream(kept, trouble, WORLD, EDITIONS["2022"])
    n_there = []
    for number, lines in enumerate(BATCHES["2022"]):
        trouble.tick(number)
        stream.send(lines)
        n_there.append(len(kept.lines))
    assert len(set(n_there[2:7])) == 1
    assert [n_lines("2022", n) for n in (3, 8)] == [n_there[2], n_there[7]]
    assert kept.lines == LINES["2022"]
    truth = trouble.all()[0].shown()
    assert (truth["first_line"], truth["last_line"]) == (n_there[2] + 1, n_lines("2022", 7))


def test_a_long_outage_drops_what_its_buffer_cannot_hold_and_says_so():
    """The oldest are kept; what came before and after is there."""
    trouble = Trouble(WORLD, [read_order("3s kafka for=4s")])
    kept = Kept()
    stream = TroubledStream(kept, trouble, WORLD, EDITIONS["2022"], buffer_lines=100)
    for number, lines in enumerate(BATCHES["2022"]):
        trouble.tick(number)
        stream.send(lines)
    before, during = (n_lines("2022", n) for n in (3, 7))
    n_lost = during - before - 100
    assert kept.lines == LINES["2022"][: before + 100] + LINES["2022"][during:]
    assert stream.n_dropped == trouble.all()[0].shown()["dropped"] == n_lost
    with pytest.raises(StreamError, match=f"held up by trouble: {n_lost:,} lines are lost"):
        stream.close()
    assert kept.is_closed


def test_what_waits_is_delivered_when_the_run_ends_in_an_outage():
    """Nothing is lost for an order without an end."""
    assert played("10s kafka for=100s")[0] == LINES["2022"]


def test_after_an_outage_no_send_lasts_long():
    """What has waited goes on in portions, before what is new."""
    trouble = Trouble(WORLD, [read_order("0s kafka for=1s")])
    kept = Kept()
    stream = TroubledStream(kept, trouble, WORLD, EDITIONS["2022"])
    trouble.tick(0)
    many = [b"%d" % number for number in range(50_001)]
    stream.send(many[:50_000])
    trouble.tick(1)
    stream.send(many[50_000:])
    assert kept.lines == many[:20_001]
    stream.send([])
    assert kept.lines == many[:40_001]
    stream.send([])
    assert kept.lines == many


def test_own_brokers_are_really_down():
    """A consumer hears nothing meanwhile, and gets every line afterwards."""
    with Brokers() as brokers:
        trouble = Trouble(WORLD, [read_order("1s kafka for=1s")])
        inner = KafkaStream(brokers.bootstrap, "down")
        stream = TroubledStream(inner, trouble, WORLD, EDITIONS["2022"], outage=brokers)
        stream.send(LINES["2022"][:10])
        while inner.n_waiting:
            pass
        trouble.tick(1)
        stream.send(LINES["2022"][10:20])
        asked = Consumer({"bootstrap.servers": brokers.bootstrap, "group.id": "one"})
        asked.assign([TopicPartition(inner.topic, 0, 0)])
        assert asked.consume(20, 0.3) == []
        trouble.tick(2)
        stream.send(LINES["2022"][20:30])
        stream.close()
        got = []
        while len(got) < 30:
            got += [message.value() for message in asked.consume(30, 0.1)]
        asked.close()
        assert got == LINES["2022"][:30]


def test_a_run_that_ends_in_an_outage_of_its_own_brokers_loses_nothing():
    """They come back for the last lines."""
    with Brokers() as brokers:
        trouble = Trouble(WORLD, [read_order("0s kafka for=9s")])
        inner = KafkaStream(brokers.bootstrap, "end")
        stream = TroubledStream(inner, trouble, WORLD, EDITIONS["2022"], outage=brokers)
        trouble.tick(0)
        stream.send(LINES["2022"][:10])
        stream.close()
        assert inner.n_waiting == 0


def test_the_numbers_of_broken_lines_are_those_of_a_file(tmp_path):
    """As whoever reads the file counts them."""
    trouble = Trouble(WORLD, [read_order("0s noise share=0.05")])
    path = tmp_path / "events.log"
    stream = TroubledStream(FileStream(path), trouble, WORLD, EDITIONS["2026"])
    trouble.tick(0)
    for lines in BATCHES["2026"]:
        stream.send(lines)
    stream.close()
    trouble.write(tmp_path / "truth.jsonl")
    (truth,) = map(json.loads, (tmp_path / "truth.jsonl").read_text().splitlines())
    read = path.read_bytes().split(b"\n")[:-1]
    rejected = {number for number, line in enumerate(read, 1) if not is_sound(line)}
    assert rejected == {number for number, _, verdict in truth["broken"] if verdict == "rejected"}
    assert len(rejected) > 50


def test_what_the_live_loop_reads_follows_the_clock():
    """Factors are multiplied, items go beside each other, of the rest the later counts."""
    other = WORLD.items.ids[9]
    trouble: Disturbance = Trouble(WORLD, [read_order(text) for text in (
        "10s traffic factor=10 for=20s", "20s traffic factor=0.5 for=20s",
        f"10s viral item={ITEM} factor=8 for=20s", f"20s viral item={ITEM} factor=2 for=5s",
        f"20s viral item={other} for=5s", "20s api how=refused for=5s", "10s api how=hang for=20s",
        "10s shift group=25-34/F taste=Horror for=20s", "20s shift group=M taste=4 for=5s",
    )])  # fmt: skip

    def read():
        return trouble.traffic_factor, trouble.viral, trouble.api_outage, trouble.shift

    assert read() == (1, {}, "", None)
    trouble.tick(9.9)
    assert read() == (1, {}, "", None)
    trouble.tick(10)
    assert read()[:3] == (10, {7: 8}, "hang")
    users = WORLD.users
    women = ~users.is_male & (users.ages >= 25) & (users.ages <= 34)
    assert np.array_equal(trouble.shift.users, women)
    horror = genre_profiles(WORLD.seed)[:, 7]
    assert horror[trouble.shift.taste] == horror.max()
    trouble.tick(20)
    assert read()[:3] == (5, {7: 16, 9: 50}, "refused")
    assert np.array_equal(trouble.shift.users, users.is_male)
    assert trouble.shift.taste == 4
    trouble.tick(25)
    assert read()[:3] == (5, {7: 8}, "hang")
    assert np.array_equal(trouble.shift.users, women)
    trouble.tick(30)
    assert read() == (0.5, {}, "", None)
    trouble.tick(29)  # a clock that goes back does nothing
    assert trouble.order("now traffic for=1s").begins == 30
    trouble.tick(40)
    assert read() == (1, {}, "", None)


def test_everything_ordered_stands_in_the_truth(tmp_path):
    """What is over, what goes on and what never began."""
    orders = ("1s traffic for=2s", "5s shift group=all taste=0", "99s jump by=1h")
    trouble = Trouble(WORLD, [read_order(order) for order in orders])
    for second in range(7):
        trouble.tick(second)
    trouble.write(tmp_path / "truth.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert rows == [
        {"kind": "traffic", "order": "1s traffic for=2s", "state": "done",
         "begins_seconds": 1, "ends_seconds": 3},
        {"kind": "shift", "order": "5s shift group=all taste=0", "state": "active",
         "begins_seconds": 5, "ends_seconds": None, "taste": 0, "n_users": 1500},
        {"kind": "jump", "order": "99s jump by=1h", "state": "waiting",
         "begins_seconds": 99, "ends_seconds": None},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write AT KIND key=value"),
        ("30s", "write AT KIND key=value"),
        ("30s flod item=x", f"'flod' is no kind of trouble; they are {', '.join(KINDS)}"),
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
        ("30s flood", "flood needs item=…, its id"),
        ("30s flood item=x accounts=0", "accounts must be a whole number from 1 to 10,000,000"),
        ("30s flood item=x rating=11", "rating must be a whole number from 1 to 10; it is '11'"),
        ("30s flood item=x minutes=1441", "minutes must be a whole number from 1 to 1440"),
        ("30s schema change=worse", "change must be one of extra, renamed, reordered, json"),
        ("30s edition", "edition needs to=…, one of 2022, 2024, 2026"),
        ("30s edition to=2023", "to must be one of 2022, 2024, 2026; it is '2023'"),
        ("30s jump by=0s", "by must be a time forth or back such as +1h"),
        ("30s jump by=+-1h", "by must be a time forth or back such as +1h"),
        ("30s jump by=4000d", "of ten years at most; it is '4000d'"),
        ("30s noise share=2", "share must be a number from 0 to 1; it is '2'"),
        ("30s noise only=late,foo", "only must be some of foreign, item, "),
        ("30s api how=slow", "how must be one of 503, hang, refused; it is 'slow'"),
    ],
)
def test_an_order_that_cannot_be_read_is_refused_with_the_way_out(text, message):
    """In the words of the command line too."""
    with pytest.raises(TroubleError, match=re.escape(message)) as refused:
        read_order(text)
    assert f"trouble {text!r}: " in str(refused.value)
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(message)):
        argument(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0s flood item=nosuch", "no item 'nosuch' in the catalogue, of 200"),
        ("0s viral item=nosuch", "no item 'nosuch' in the catalogue, of 200"),
        ("0s shift group=90+ taste=1", "group must be made of 8-17, "),
        ("0s shift group=F/ taste=1", "group must be made of 8-17, "),
        ("0s shift group=F taste=32", "taste must be below 32 or one of drama, "),
    ],
)
def test_an_order_for_what_is_not_there_is_refused(text, message):
    """And leaves no trace."""
    trouble = Trouble(WORLD)
    with pytest.raises(TroubleError, match=re.escape(message)):
        trouble.order(text)
    assert trouble.all() == []
    with pytest.raises(TroubleError):
        Trouble(WORLD, [read_order(text)])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("now", 0), ("7", 7), ("0s", 0), ("1.5m", 90), ("2h", 7200), ("1d", 86_400)],
)
def test_times_have_units(text, seconds):
    """Seconds where none is given."""
    assert read_order(f"{text} traffic").at_seconds == seconds


@pytest.fixture
def control():
    trouble = Trouble(WORLD)
    with TroubleControl(trouble) as control:
        yield control, trouble


def ask(control, method, path="/trouble", body=None, headers=None):
    connection = http.client.HTTPConnection(control.host, control.port, timeout=10)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content


def test_orders_are_taken_while_it_runs_and_count_from_then(control):
    """What is known, active and done can be seen."""
    control, trouble = control
    trouble.tick(100)
    status, content = ask(control, "POST", body=f"5s flood item={ITEM} accounts=4 views=8 for=3s")
    assert (status, content["state"], content["begins_seconds"]) == (200, "waiting", 105)
    stream = TroubledStream(Kept(), trouble, WORLD, EDITIONS["2022"])
    seen = []
    for second in (104, 105, 108):
        trouble.tick(second)
        stream.send(LINES["2022"][:9])
        status, shown = ask(control, "GET")
        seen.append([len(shown[state]) for state in ("waiting", "active", "done")])
    assert seen == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert shown["seconds"] == 108
    assert shown["done"][0]["accounts"] == 4  # how many; the file of truth has them
    assert set(shown["kinds"]) == set(KINDS)
    assert shown["kinds"]["flood"]["item"] == "its id"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "message"),
    [
        ("POST", "/trouble", "5s flod", {}, 400, "'flod' is no kind of trouble; they are flood, "),
        ("POST", "/trouble", "0s viral item=no", {}, 400, "no item 'no' in the catalogue"),
        ("POST", "/trouble", b"\xff", {}, 400, "write AT KIND"),
        ("POST", "/trouble", "x" * 5000, {}, 413, "an order has at most 4096 bytes"),
        ("POST", "/trouble", "", {"Content-Length": "-1"}, 413, "an order has at most"),
        ("POST", "/", "now traffic", {}, 404, "send orders to /trouble"),
        ("GET", "/", None, {}, 404, "ask for /trouble"),
    ],
    ids=["kind", "item", "bytes", "long", "length", "post", "get"],
)
def test_a_bad_request_is_told_what_is_wrong(control, method, path, body, headers, status, message):
    """And nothing is ordered."""
    control, trouble = control
    answer = ask(control, method, path, body, headers)
    assert answer[0] == status
    assert message in answer[1]["message"]
    assert trouble.all() == []


def test_a_port_that_is_taken_is_said(control):
    with pytest.raises(TroubleError, match=f"port {control[0].port}: cannot be had for trouble"):
        TroubleControl(Trouble(WORLD), control[0].port)


def test_every_kind_and_key_is_documented():
    """In the table of benchmarks/README.md, with its default."""
    text = (Path(__file__).resolve().parents[2] / "benchmarks" / "README.md").read_text()
    for name, kind in KINDS.items():
        row = re.search(rf"^\| `{name}` +\| (.*?) \|", text, re.MULTILINE)[1]
        for key, one in kind.keys.items():
            given = isinstance(one.default, int | float | str)
            default = f"{one.default:g}" if isinstance(one.default, float) else one.default
            assert (f"{key}={default}" if given else key) in row
