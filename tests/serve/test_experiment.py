"""An experiment under a running server: each user gets the lists of one arm, and only these."""

import contextlib
import json
import os
import re
import signal
import threading
from collections import Counter

import pytest

from store.arms import move_arms, promote_arm, start_experiment, stop_experiment
from store.experiment import read_experiment
from store.fresh import FreshList, FreshWriter
from store.journal import journal
from store.layout import RECS
from store.publish import rollback, writing
from store.takedown import take_down
from tests.experiments import USERS, experiment_of, make_arm
from tests.serve.crashing_snapshots import publish_damaged, size_of_a_value, sound_snapshot
from tests.serve.server import ask, flip_byte, wait_until

NAMES = {1: "old", 2: "new", 3: "next", 4: "last"}


@pytest.fixture
def published(store):
    """Generation 1 is current; 2 is built."""
    for generation, name in NAMES.items():
        if generation < 3:
            make_arm(store, name, flip=generation == 1)
    return store


@pytest.fixture
def server(serve, published):
    running = serve("--workers", "2")
    running.wait_for_generation(1)
    return running


def arms_of(experiment):
    """The arm of each user."""
    arm_of = experiment.arm_function()
    return {user: experiment.arms[arm_of(user.encode())] for user in USERS}


def answers(server, users=USERS):
    """Generation, arm and body by user, each over a connection of its own."""
    found = {user: server.get(f"/recommend/{user}") for user in users}
    return {
        user: (one.generation, one.headers["X-Marquee-Arm"], one.text)
        for user, one in found.items()
    }


def expected(experiment):
    return {
        user: (arm.generation, arm.name, f"{NAMES[arm.generation]}-a,{NAMES[arm.generation]}-b")
        for user, arm in arms_of(experiment).items()
    }


def wait_for(server, wanted):
    """Return once all answers, several times over, are these, so that every worker has followed."""
    wait_until(lambda: all(answers(server) == wanted for _ in range(3)))


def test_each_user_gets_the_lists_of_one_arm(server, published):
    """Own list, fallback, POST, metrics and status name the arm, until the stop."""
    everyone = dict.fromkeys(USERS, (1, None, "old-a,old-b"))
    assert answers(server) == everyone
    experiment = experiment_of(1, 2)
    start_experiment(published, experiment, "test")
    wait_for(server, expected(experiment))
    assert Counter(arm.name for arm in arms_of(experiment).values()).keys() == {
        "control",
        "treatment",
    }

    strangers = [f"stranger{number}" for number in range(12)]
    arm_of = experiment.arm_function()
    for user in strangers:
        arm = experiment.arms[arm_of(user.encode())]
        answer = server.get(f"/recommend/{user}")
        assert (answer.source, answer.headers["X-Marquee-Arm"]) == ("popular", arm.name)
        assert answer.text.startswith(NAMES[arm.generation])
        posted = server.get("/recommendations", "POST", body=json.dumps({"user_id": user}))
        assert json.loads(posted.body)["generation"] == arm.generation
    status = json.loads(server.get("/model/status").body)["experiment"]
    assert [arm["generation"] for arm in status["arms"]] == [1, 2]
    assert status["name"] == "test"
    found = wait_until(lambda: counted(server, at_least=3 * len(USERS)))
    assert {arm for arm, _ in found} == {"control", "treatment"}

    take_down(published, ["old-a", "new-b"], "test")
    bodies = {1: "old-b,old-p", 2: "new-a,new-p"}
    wanted = {
        u: (a.generation, a.name, bodies[a.generation]) for u, a in arms_of(experiment).items()
    }
    wait_for(server, wanted)
    stop_experiment(published, "test")
    wait_for(server, dict.fromkeys(USERS, (1, None, "old-b,old-p")))
    assert json.loads(server.get("/model/status").body)["experiment"] is None


def counted(server, at_least):
    """Requests by arm and source from one worker's text of the metrics, None while too few.

    Each worker keeps its text for a second: the next request may meet an older one.
    """
    line = r'marquee_arm_requests_total\{arm="(\w+)",experiment="test",source="(\w+)"\} ([\d.]+)'
    found = re.findall(line, server.get("/metrics").text)
    requests = {(arm, source): float(n) for arm, source, n in found if float(n)}
    return requests if sum(requests.values()) >= at_least else None


@pytest.fixture
def load(server):
    """Clients that ask without pause; at the end every answer must have been whole."""
    seen, stop = [], threading.Event()

    def run():
        with server.connect() as connection:
            while not stop.is_set():
                for user in USERS:
                    one = ask(connection, f"/recommend/{user}")
                    seen.append(
                        (user, one.status, one.generation, one.headers["X-Marquee-Arm"], one.text)
                    )

    clients = [threading.Thread(target=run) for _ in range(2)]
    for client in clients:
        client.start()
    yield seen
    stop.set()
    for client in clients:
        client.join()


def test_no_answer_is_lost_or_mixed_at_start_move_stop_and_promote(server, published, load):
    """Under load body, generation and arm of each answer belong together, and to its user."""
    first, second = experiment_of(1, 2), experiment_of(1, 2, name="again")
    make_arm(published, "next"), make_arm(published, "last")
    start_experiment(published, first, "test")
    wait_for(server, expected(first))
    with writing(published):
        move_arms(published, first.moved({1: 3, 2: 4}), "test")
    moved = first.moved({1: 3, 2: 4})
    wait_for(server, expected(moved))
    n_moved = len(load)
    stop_experiment(published, "test")
    wait_for(server, dict.fromkeys(USERS, (3, None, "next-a,next-b")))
    start_experiment(published, second.moved({1: 3, 2: 4}), "test")
    wait_for(server, expected(moved))
    promote_arm(published, "treatment", "test")
    wait_for(server, dict.fromkeys(USERS, (4, None, "last-a,last-b")))

    arms = arms_of(first)
    names = {"control": {1, 3}, "treatment": {2, 4}}
    for user, status, generation, arm, text in load:
        assert (status, text) == (200, f"{NAMES[generation]}-a,{NAMES[generation]}-b")
        assert arm in (None, arms[user].name)
        assert arm is None or generation in names[arm]
    before = [arm for user, _, _, arm, _ in load[:n_moved]]
    started = next(number for number, arm in enumerate(before) if arm)
    # A worker follows up to a tick later than the other; afterwards nobody leaves the arms.
    assert before.count(None) < started + len(load)
    assert None not in before[-200:]
    assert read_experiment(published) is None
    kinds = [line.what for line in journal(published)]
    assert kinds[-5:] == ["start", "move", "stop", "start", "promote"]


def test_a_new_worker_and_a_new_program_serve_the_arms(serve, published, kill_all_workers):
    """From their first answer on; an experiment that runs at the start of the server, too."""
    experiment = experiment_of(1, 2)
    start_experiment(published, experiment, "test")
    server = serve("--workers", "1")
    server.wait_for_workers()
    assert answers(server) == expected(experiment)
    kill_all_workers(server)
    wait_until(lambda: server.get("/healthz").status == 200)
    wait_for(server, expected(experiment))
    old = server.wait_for_workers()
    os.kill(server.process.pid, signal.SIGHUP)
    server.wait_for_workers(other_than=old)
    wait_for(server, expected(experiment))


def test_two_arms_of_one_generation(server, published):
    """An A/A test: the same lists under two names."""
    experiment = experiment_of(1, 1)
    start_experiment(published, experiment, "test")
    wait_for(server, expected(experiment))


def test_a_rollback_ends_the_experiment(server, published):
    """The operator's word counts for all users."""
    make_arm(published, "next", flip=True)
    server.wait_for_generation(3)
    experiment = experiment_of(3, 2)
    start_experiment(published, experiment, "test")
    wait_for(server, expected(experiment))
    rollback(published, "lists look wrong", 1)
    wait_for(server, dict.fromkeys(USERS, (1, None, "old-a,old-b")))
    assert read_experiment(published) is None
    assert [line.what for line in journal(published)][-3:] == ["start", "stop", "rollback"]


def test_a_damaged_arm_stops_the_experiment(server, published):
    """No answer is from it, and the store says why; the control stays in service."""
    flip_byte(published, 2)
    (published / "EXPERIMENT").write_text(experiment_of(1, 2, name="damaged").as_text())

    wait_until(lambda: read_experiment(published) is None)

    assert journal(published)[-1].what == "stop"
    assert "generation 2 must not be served" in journal(published)[-1].why
    assert answers(server) == dict.fromkeys(USERS, (1, None, "old-a,old-b"))
    wait_until(lambda: server.health()["status"] == "ok")


def test_a_fresh_list_is_used_only_in_the_arm_of_its_generation(server, published):
    """A list made from the control's generation is not an answer of the treatment, nor reversed."""
    experiment = experiment_of(1, 2)
    start_experiment(published, experiment, "test")
    wait_for(server, expected(experiment))
    fresh = {
        user: (arm.generation, arm.name, f"fresh-{arm.generation}")
        for user, arm in arms_of(experiment).items()
    }
    for of_generation in ({1: 1, 2: 1}, {1: 2, 2: 2}, {1: 1, 2: 2}):
        with FreshWriter(published) as writer:
            for user, (generation, _, _) in fresh.items():
                made_by = of_generation[generation]
                made = FreshList(made_by, 4e9, b"fresh-%d" % made_by)
                writer.put([(user.encode(), made, b"")])
        answered = {
            user: answer for user, answer in fresh.items() if of_generation[answer[0]] == answer[0]
        }
        wait_for(server, expected(experiment) | answered)


def test_an_arm_that_crashes_workers_stops_the_experiment(serve, store):
    """Three crashes in a row end it, and not the current generation."""
    sound_snapshot(store, "alien")
    crashing = publish_damaged(store, "brazil", RECS, size_of_a_value)
    rollback(store, "test", 1)
    server = serve("--workers", "2")
    wait_until(lambda: server.health()["generation"] == 1)
    start_experiment(store, experiment_of(1, crashing, shares=[0, 1]), "test")

    def generation():
        with contextlib.suppress(OSError):  # from a worker that crashes
            return server.get("/recommend/zoe").generation

    wait_until(lambda: (generation(), read_experiment(store))[1] is None)

    assert "crashes workers" in journal(store)[-1].why
    wait_until(lambda: {generation() for _ in range(20)} == {1})  # from every worker
