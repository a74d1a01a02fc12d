"""The timer of a worker."""

import signal
import socket
import time

from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.worker.app import make_app
from serve.worker.state import WorkerState
from serve.worker.worker import Worker


def test_a_slow_look_is_not_entered_again_by_the_timer(store, monkeypatch):
    """The timer fires in the middle of it, and again after it; a heartbeat comes each time."""
    state = WorkerState(ServeSettings(), Scoreboard(1))
    depths: list[int] = []
    beats: list[None] = []
    n_running = 0

    def look(_):
        nonlocal n_running
        n_running += 1
        depths.append(n_running)
        end = time.monotonic() + 0.05
        n_beats = len(beats)
        while time.monotonic() < end or len(beats) < n_beats + 2:
            pass
        n_running -= 1

    with socket.socket() as listener:
        worker = Worker(0, state, make_app(state), listener, store)
        monkeypatch.setattr(type(worker._follower), "look", look)
        monkeypatch.setattr(type(state.scoreboard), "beat", lambda *_: beats.append(None))
        before = signal.signal(signal.SIGALRM, lambda _, frame: worker._tick(frame))
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
            worker._tick()
            worker._tick()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    assert {*depths} == {1}
    assert len(depths) >= 2
