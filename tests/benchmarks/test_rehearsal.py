"""The rehearsal holds where all is well, and says what went wrong where it is not."""

from benchmarks import rehearsal

SIZE = ["--seconds", "5", "--users", "300", "--items", "80", "--rate", "100"]


def last_line(capsys):
    return capsys.readouterr().out.splitlines()[-1]


def test_a_short_rehearsal_holds(capsys):
    """Three publishes, a rollback, a takedown and kills, and every request succeeds."""
    assert rehearsal.main(SIZE) == 0
    line = last_line(capsys)
    assert line.startswith("REHEARSAL HELD: 100 % of ")
    for what in ("a refresh of new events", "a rollback", "a takedown", "kills of workers"):
        assert what in line
    assert line.count("a publish") == 3


def test_what_was_not_done_fails_it(monkeypatch, capsys):
    """A takedown and a rollback that do nothing are found out."""
    for broken in ("take_down", "rollback"):
        monkeypatch.setattr(rehearsal, broken, lambda *_: None)
    assert rehearsal.main(SIZE) == 1
    line = last_line(capsys)
    assert line.startswith("REHEARSAL FAILED: a rollback: 2 is current, not 1; ")
    assert "answers held what was taken down" in line
