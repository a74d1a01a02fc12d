"""Random sequences of operations and crashes of a store, compared with a model.

The model: generations and their parents, the current one, the pin, the takedowns.
More sequences:
`STORE_SEQUENCES=500 .venv/bin/pytest tests/store/test_sequences.py`.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from store.check import broken_records
from store.errors import NoSnapshotError, NotAnItemError, PinnedError, StoreBusyError
from store.journal import flips, journal
from store.layout import building_folder, generations, unfinished
from store.pointer import Pin, current, current_or_none, pinned
from store.prune import prune
from store.publish import pin, publish, rollback, unpin, writing
from store.snapshot import Snapshot, open_snapshot
from store.takedown import restore, take_down, takedowns
from tests.snapshots import make_snapshot

N_SEQUENCES = int(os.environ.get("STORE_SEQUENCES", "30"))
ITEMS = ("a", "b", "item1", "item2", "item3")


class StoreMachine(RuleBasedStateMachine):
    """The store and its model.

    The files of a crash stay until the next writer: `half_pin` is a pin without its
    flip; `is_interrupted` says that the journal's last flip was not carried out,
    and that its line may be torn.
    """

    def __init__(self):
        super().__init__()
        self.store = Path(tempfile.mkdtemp())
        self.parents: dict[int, int | None] = {}
        self.current: int | None = None
        self.newest = 0
        self.pin: int | None = None
        self.half_pin: int | None = None
        self.is_interrupted = False
        self.taken_down: set[str] = set()
        self.n_takedown_lines = 0
        self.held: dict[int, Snapshot] = {}

    def teardown(self):
        for snapshot in self.held.values():
            snapshot.close()
        shutil.rmtree(self.store)

    def recover(self):
        """Model a writer that recovers from the crash before it."""
        if self.half_pin is not None:
            self.current = self.half_pin
        self.half_pin, self.is_interrupted = None, False

    # Build, publish, rollback

    @initialize()
    def first(self):
        self.build(flip=True)

    @rule(flip=st.booleans())
    def build(self, flip):
        self.recover()
        generation = self.newest + 1
        assert make_snapshot(self.store, _lists(generation), ["a"], flip=flip) == generation
        self.parents[generation] = self.current
        self.newest = generation
        if flip and self.pin is None:
            self.current = generation

    @rule(data=st.data())
    def publish_any(self, data):
        generation = data.draw(st.sampled_from(sorted(self.parents)))
        self.recover()
        with writing(self.store):
            flipped = publish(self.store, generation, "chosen by an operator")
        assert flipped == (self.pin is None)
        if flipped:
            self.current = generation

    @rule()
    def rollback_to_the_parent(self):
        self.recover()
        assert self.current is not None
        parent = self.parents[self.current]
        if self.pin is not None:
            with pytest.raises(PinnedError):
                rollback(self.store, "bad")
        elif parent in self.parents:
            assert rollback(self.store, "bad") == parent
            self.current = parent
        else:
            with pytest.raises(NoSnapshotError):
                rollback(self.store, "bad")

    @rule(data=st.data())
    def rollback_to_any(self, data):
        generation = data.draw(st.integers(1, self.newest))
        self.recover()
        if self.pin is not None:
            with pytest.raises(PinnedError):
                rollback(self.store, "bad", to=generation)
        elif generation in self.parents:
            assert rollback(self.store, "bad", to=generation) == generation
            self.current = generation
        else:
            with pytest.raises(NoSnapshotError):
                rollback(self.store, "bad", to=generation)

    # Pins

    @rule(data=st.data())
    def pin_any(self, data):
        generation = data.draw(st.sampled_from(sorted(self.parents)))
        self.recover()
        assert pin(self.store, "hold", to=generation) == generation
        self.pin = self.current = generation

    @rule()
    def pin_the_current(self):
        served = self.current
        self.recover()
        assert pin(self.store, "hold") == served
        self.pin = self.current = served

    @rule()
    def remove_the_pin(self):
        self.recover()
        if self.pin is None:
            with pytest.raises(PinnedError):
                unpin(self.store, "good again")
        else:
            newest = max(self.parents)
            assert unpin(self.store, "good again") == newest
            self.pin, self.current = None, newest

    # Pruning

    @rule(keep=st.integers(1, 4))
    def prune_to(self, keep):
        self.recover()
        old = sorted(self.parents)[:-keep]
        spared = {self.current, self.pin, *self.held}
        expected = [n for n in old if n not in spared]
        with writing(self.store):
            assert prune(self.store, keep) == expected
        for generation in expected:
            del self.parents[generation]

    @rule()
    def recent_snapshots_are_not_pruned(self):
        self.recover()
        with writing(self.store):
            assert prune(self.store, 1, keep_days=1_000_000) == []

    # Takedowns, which do not wait for a writer

    @rule(items=st.lists(st.sampled_from(ITEMS), min_size=1, max_size=3))
    def take_items_down(self, items):
        self.taken_down |= set(items)
        assert set(take_down(self.store, items, "rights")) == self.taken_down
        self.n_takedown_lines += 1

    @rule(item=st.sampled_from(ITEMS))
    def restore_an_item(self, item):
        if item in self.taken_down:
            self.taken_down.remove(item)
            assert set(restore(self.store, [item], "cleared")) == self.taken_down
            self.n_takedown_lines += 1
        else:
            with pytest.raises(NotAnItemError):
                restore(self.store, [item], "cleared")

    @rule(item=st.sampled_from(ITEMS))
    def take_an_item_down_during_a_write(self, item):
        self.recover()
        with writing(self.store):
            with pytest.raises(StoreBusyError):
                rollback(self.store, "now")
            self.take_items_down([item])

    # Readers

    @rule(data=st.data())
    def open_a_snapshot(self, data):
        generation = data.draw(st.sampled_from(sorted(self.parents)))
        if generation not in self.held:
            self.held[generation] = open_snapshot(self.store, generation)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def close_a_snapshot(self, data):
        self.held.pop(data.draw(st.sampled_from(sorted(self.held)))).close()

    # Crashes: the files of a writer that is killed

    @rule()
    def crash_while_building(self):
        folder = building_folder(self.store, self.newest + 1)
        folder.mkdir(exist_ok=True)
        (folder / "recs.mdb").write_bytes(b"half")

    @precondition(lambda self: not self.is_interrupted)
    @rule(data=st.data())
    def crash_before_the_flip(self, data):
        """Leave a journal line, complete or torn, and perhaps a pending pointer."""
        self.write_line_without_flip(data, "publish")
        if data.draw(st.booleans()):
            (self.store / "CURRENT.pending").write_text("")

    @precondition(lambda self: not self.is_interrupted and self.half_pin is None)
    @rule(data=st.data())
    def crash_between_pin_and_flip(self, data):
        generation = data.draw(st.sampled_from(sorted(self.parents)))
        self.recover()
        with writing(self.store), (self.store / "JOURNAL").open("a") as file:
            file.write(_line(generation, "pin"))
            (self.store / "PIN").write_text(f"{generation}\tno flip\n")
        self.pin = self.half_pin = generation

    @precondition(lambda self: self.pin is not None and self.half_pin is None)
    @precondition(lambda self: not self.is_interrupted)
    @rule()
    def crash_between_unpin_and_flip(self):
        self.recover()
        with writing(self.store), (self.store / "JOURNAL").open("a") as file:
            file.write(_line(max(self.parents), "unpin"))
            (self.store / "PIN").unlink()
        self.pin = None
        self.is_interrupted = True  # the journal ends with a flip that was not carried out

    def write_line_without_flip(self, data, what):
        with writing(self.store):
            self.recover()
        line = _line(data.draw(st.sampled_from(sorted(self.parents))), what)
        n_written = data.draw(st.integers(1, len(line)))
        with (self.store / "JOURNAL").open("a") as file:
            file.write(line[:n_written])
        self.is_interrupted = True

    # Invariants

    @invariant()
    def the_store_equals_the_model(self):
        assert generations(self.store) == sorted(self.parents)
        assert current_or_none(self.store) == self.current
        held = pinned(self.store)
        assert (held and held.generation) == self.pin
        assert isinstance(held, Pin | None)

    @invariant()
    def takedowns_equal_the_model(self):
        assert set(takedowns(self.store)) == self.taken_down
        lines = [line for line in journal(self.store) if line.what in ("takedown", "restore")]
        assert len(lines) == self.n_takedown_lines

    @invariant()
    def the_current_snapshot_is_sound(self):
        if self.current is not None and self.current not in self.held:
            with open_snapshot(self.store, self.current) as snapshot:
                assert list(broken_records(snapshot)) == []
                assert dict(snapshot.users) == _bodies(self.current)

    @invariant()
    def open_snapshots_keep_their_lists(self):
        for generation, snapshot in self.held.items():
            assert dict(snapshot.users) == _bodies(generation)
            assert snapshot.users.get(b"ann") == _bodies(generation)[b"ann"]

    @invariant()
    def an_uninterrupted_journal_ends_with_the_current_generation(self):
        if self.current is not None and not self.is_interrupted and self.half_pin is None:
            assert flips(self.store)[-1].generation == current(self.store)

    @rule()
    def the_next_writer_removes_leftovers(self):
        self.recover()
        with writing(self.store):
            assert unfinished(self.store) == []
            assert list(self.store.glob("*.pending")) == []
            assert flips(self.store)[-1].generation == current(self.store) == self.current


def _line(generation, what):
    return f"2026-03-01T02:30:00+00:00\t{generation}\t{what}\tno flip\n"


def _lists(generation):
    return {"ann": [f"item{generation}", "a"], f"user{generation}": ["a"]}


def _bodies(generation):
    return {user.encode(): ",".join(names).encode() for user, names in _lists(generation).items()}


TestSequences = StoreMachine.TestCase
TestSequences.settings = settings(max_examples=N_SEQUENCES, stateful_step_count=30, deadline=None)
