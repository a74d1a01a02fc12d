"""Stages: on a terminal the time goes on while nothing is reported; elsewhere a line each."""

import io
import re
import sys
import threading

import batch.stages
from batch.stages import Stages


class Terminal(io.StringIO):
    """Ends the wait of a stage once that was drawn three times."""

    def __init__(self):
        super().__init__()
        self.is_drawn = threading.Event()

    def isatty(self):
        return True

    def write(self, text):
        n_written = super().write(text)
        if self.getvalue().count("\rtrial  00:00") >= 3:
            self.is_drawn.set()
        return n_written


def test_a_stage_that_reports_nothing_is_drawn_again_until_it_ends(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(batch.stages, "_TICK_SECONDS", 0.01)
    with Stages()("trial"):
        assert terminal.is_drawn.wait(10)
        assert "clock of a stage" in [thread.name for thread in threading.enumerate()]
    assert re.search(r"trial +\d+\.\d\d s\n$", terminal.getvalue())
    assert "clock of a stage" not in [thread.name for thread in threading.enumerate()]


def test_a_log_gets_one_line(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr(batch.stages, "_TICK_SECONDS", 0.0)
    with Stages()("choose", unit="model") as advance:
        advance(1)
    assert re.fullmatch(r"choose +\d+\.\d\d s\n", log.getvalue())
