"""The serving benchmark: it refuses wrong answers, and programs can read its figures."""

import dataclasses
import json
import os
import shutil
from importlib import metadata

import pytest

from benchmarks.harness.errors import LoadError, NotInstalledError, RefusedError
from benchmarks.harness.servers import Address, free_port
from benchmarks.serving.__main__ import main
from benchmarks.serving.answers import check
from benchmarks.serving.data import prepare
from benchmarks.serving.figures import Figures, Seen, core_ratio, evaluate_goals, ratio
from benchmarks.serving.installed import Installed, pinned_versions
from benchmarks.serving.running import Cores, Runner
from benchmarks.serving.subjects import SUBJECTS
from benchmarks.serving.targets import write_targets
from benchmarks.serving.wrk import Load, parse, run_wrk

N_USERS, N_ITEMS = 300, 400
NAMED = {subject.name: subject for subject in SUBJECTS}
CORE = min(os.sched_getaffinity(0))

needs_wrk = pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
needs_two_cores = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="only one core: none is left for the load"
)

# Output of wrk 4.1.0 for real servers: good answers; users without a list; killed half-way.
GOOD = """\
Running 1s test @ http://127.0.0.1:46525
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   628.33us    1.48ms  14.26ms   90.65%
    Req/Sec    83.31k    17.40k  112.31k    80.00%
  82837 requests in 1.00s, 48.53MB read
Requests/sec:  82425.94
Transfer/sec:     48.29MB
{"requests": 82837, "duration_us": 1004987, "p50_us": 141, "p99_us": 7704, "bytes": 50887276, \
"connect": 0, "read": 0, "write": 0, "timeout": 0, "status": 0}
"""
NOT_FOUND = """\
Running 1s test @ http://127.0.0.1:46525
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.28ms    4.75ms  46.48ms   97.22%
    Req/Sec    73.52k    14.48k   99.99k    81.82%
  80562 requests in 1.10s, 26.31MB read
  Non-2xx or 3xx responses: 40227
Requests/sec:  73229.73
Transfer/sec:     23.91MB
{"requests": 80562, "duration_us": 1100127, "p50_us": 144, "p99_us": 31964, "bytes": 27586845, \
"connect": 0, "read": 0, "write": 0, "timeout": 0, "status": 40227}
"""
KILLED = """\
Running 1s test @ http://127.0.0.1:46525
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   409.01us    0.92ms  11.57ms   91.57%
    Req/Sec    68.06k     5.24k   73.74k    60.00%
  33815 requests in 1.10s, 19.81MB read
  Socket errors: connect 0, read 23, write 55190, timeout 0
Requests/sec:  30659.52
Transfer/sec:     17.96MB
{"requests": 33815, "duration_us": 1102920, "p50_us": 142, "p99_us": 4530, "bytes": 20772889, \
"connect": 0, "read": 23, "write": 55190, "timeout": 0, "status": 0}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of the benchmark's data and programs."""
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def data(folder):
    return prepare(folder, N_USERS, N_ITEMS)


@pytest.fixture
def runner(data, folder):
    installed = Installed(folder, may_install=False)
    with Runner(data, Cores(server=CORE, load=CORE), installed) as runner:
        yield runner


# wrk


def test_good_output_of_wrk_gives_rate_and_percentiles():
    """The rate equals the one that wrk prints."""
    load = parse(GOOD)
    assert load.requests_per_second == pytest.approx(82425.94, abs=0.01)
    assert (load.p50_us, load.p99_us) == (141, 7704)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NOT_FOUND, "40,227 answers that were neither 2xx nor 3xx of 80,562 requests"),
        (KILLED, "23 read errors, 55,190 write errors of 33,815 requests"),
        (GOOD[:-200], "printed no figures"),
        ("", "printed no figures"),
        (GOOD.replace('"requests": 82837', '"requests": 0'), "no answer in 1.0 s"),
    ],
)
def test_bad_output_of_wrk_is_an_error(text, message):
    """Bad statuses, broken sockets, no answer, or truncated output: the error says which."""
    with pytest.raises(LoadError, match=message):
        parse(text)


@needs_wrk
def test_answers_other_than_200_fail_a_real_run(runner, data, tmp_path):
    """The bare lookup answers 404 to users without a list, and wrk counts it."""
    [running] = runner.start([NAMED["bare-bjoern-lmdb"]])
    for users, is_good in ((range(N_USERS), True), (data.unknown_users, False)):
        targets = write_targets(tmp_path / "targets", (f"/recommend/{user}" for user in users))

        def load(path=targets):
            return run_wrk(
                *(running.address, path), core=CORE, seconds=1, seed=1, environment=os.environ
            )

        if is_good:
            assert load().requests_per_second > 0
        else:
            with pytest.raises(LoadError, match="neither 2xx nor 3xx"):
                load()


# Subjects


@pytest.mark.parametrize("name", ["bare-bjoern-static", "bare-bjoern-lmdb", "plain-falcon"])
def test_subjects_answer_with_the_right_lists(runner, name):
    """Each subject that needs only the project's packages starts and passes the check."""
    assert [one.subject.name for one in runner.start([NAMED[name]])] == [name]
    assert runner.n_refused == 0


def test_a_subject_that_answers_wrongly_is_refused(runner, capsys):
    """One list for all users is right for user 0 alone: it is refused, and the next one starts."""
    wrong = dataclasses.replace(NAMED["bare-bjoern-static"], name="wrong", is_static=False)
    started = [one.subject.name for one in runner.start([wrong, NAMED["bare-bjoern-lmdb"]])]
    assert (started, runner.n_refused) == (["bare-bjoern-lmdb"], 1)
    assert "REFUSED: wrong: GET /recommend/" in capsys.readouterr().err


def test_a_subject_that_ends_is_refused_with_its_log(runner, capsys):
    """A server that cannot start is refused at once, with the end of its log."""
    broken = NAMED["bare-bjoern-lmdb"].commands
    subject = dataclasses.replace(
        NAMED["bare-bjoern-lmdb"],
        commands=lambda place: broken(dataclasses.replace(place, port=99_999)),
    )
    assert [*runner.start([subject])] == []
    errors = capsys.readouterr().err
    assert "ended with 1: " in errors
    assert "port must be 0-65535" in errors


def test_a_subject_that_never_answers_is_refused(data):
    """Without a listening server the check ends after its patience."""
    unused = Address("127.0.0.1", free_port())
    with pytest.raises(RefusedError, match="ConnectionRefusedError"):
        check(NAMED["marquee-bare"], unused, data, patience_seconds=0.1)


@pytest.mark.parametrize(
    ("program", "command"),
    [("no-such-peer", "apt-get install -y no-such-peer"), ("uvicorn", "pip install -r ")],
)
def test_a_missing_program_names_the_command_that_installs_it(tmp_path, program, command):
    """Where nothing may be installed, the message holds the command."""
    with pytest.raises(NotInstalledError, match=command):
        Installed(tmp_path, may_install=False).require([program])


@pytest.mark.parametrize("package", ["falcon", "lmdb"])
def test_granian_runs_the_same_falcon_and_lmdb(package):
    """The peers' venv pins the versions of the project's lock."""
    assert pinned_versions()[package] == metadata.version(package)


# Figures


def seen(*rates, core_seconds=2.0):
    loads = [Load(4 * rate, requests_per_second=rate, p50_us=100, p99_us=200) for rate in rates]
    return [Seen(load, core_seconds) for load in loads]


def test_a_ratio_is_the_median_of_the_rounds_own_ratios():
    """A round in which the machine was slow for both sides counts like any other."""
    rounds = {"marquee": seen(200, 20, 100), "peer": seen(100, 10, 100)}
    assert ratio(rounds, "marquee", "peer") == 2.0
    assert Figures.of(rounds["marquee"]) == Figures(100, 20, 200, 200, 100, 200)


def test_the_core_ratio_does_not_depend_on_other_load():
    """Half the requests with a quarter of the processor time: a ratio of 2."""
    rounds = {"marquee": seen(50, core_seconds=1.0), "peer": seen(100, core_seconds=4.0)}
    ratios = ratio(rounds, "marquee", "peer"), core_ratio(rounds, "marquee", "peer")
    assert ratios == (0.5, 2.0)


def test_only_goals_with_both_sides_measured_are_evaluated():
    """Goals of peers without figures are left out."""
    rounds = {"marquee-bare": seen(90), "bare-bjoern-lmdb": seen(100)}
    [(goal, times)] = evaluate_goals(rounds)
    assert (goal.peer, goal.times, times) == ("bare-bjoern-lmdb", 0.92, 0.9)


# The whole


@needs_wrk
@needs_two_cores
def test_a_run_prints_one_figure_per_line(capsys, folder, data):
    """Benchmark, subject, metric, value, unit, inputs, seed and versions; ratio where compared."""
    arguments = ["--quick", "--users", str(N_USERS), "--items", str(N_ITEMS), "--rounds", "1"]
    subjects = ["--subjects", "marquee-bare,bare-bjoern-lmdb", "--folder", str(folder)]
    status = main([*arguments, *subjects])
    output = capsys.readouterr()
    assert status == 0, output.err
    lines = [json.loads(line) for line in output.out.splitlines()]
    fields = {"benchmark", "subject", "metric", "value", "unit", "n_users", "seed", "version"}
    assert [line for line in lines if not fields <= line.keys() or line["value"] <= 0] == []
    found = {(line["subject"], line["metric"], line["unit"]) for line in lines}
    metrics = {("requests_per_second", "1/s"), ("requests_per_core_second", "1/s")}
    metrics |= {("p50_us", "us"), ("p99_us", "us")}
    names = ("marquee-bare", "bare-bjoern-lmdb")
    assert found == {(name, *metric) for name in names for metric in metrics}
    compared = [line for line in lines if "peer" in line]
    assert [line["peer"] for line in compared] == ["bare-bjoern-lmdb"] * 2
    assert [line.get("goal") for line in compared] == [0.92, None]
    for line in compared:
        of_metric = [other for other in lines if other["metric"] == line["metric"]]
        values = {other["subject"]: other["value"] for other in of_metric}
        times = values["marquee-bare"] / values["bare-bjoern-lmdb"]
        assert line["ratio"] == pytest.approx(times, abs=0.002)


def test_an_unknown_subject_is_wrong_usage(capsys):
    """The exit status is 2, and the message holds the name."""
    with pytest.raises(SystemExit, match="2"):
        main(["--subjects", "marquee-bare,apache"])
    assert "no such subject: apache" in capsys.readouterr().err
