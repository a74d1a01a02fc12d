"""Random sequences of builds, publishes, rollbacks and sweeps, against a model of the store."""

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
from store.errors import NoSnapshotError
from store.journal import journal
from store.layout import building_folder, generations
from store.pointer import current_or_none
from store.prune import prune
from store.publish import publish, rollback, writing
from store.snapshot import open_snapshot
from tests.snapshots import make_snapshot


class StoreMachine(RuleBasedStateMachine):
    """The model: which generations there are, their parents, and which one is current."""

    def __init__(self):
        super().__init__()
        self.store = Path(tempfile.mkdtemp())
        self.parents = {}
        self.current = None
        self.newest = 0
        self.held = {}

    def teardown(self):
        for snapshot in self.held.values():
            snapshot.close()
        shutil.rmtree(self.store)

    @initialize()
    def first(self):
        self.build(flip=True)

    @rule(flip=st.booleans())
    def build(self, flip):
        generation = self.newest + 1
        assert make_snapshot(self.store, _lists(generation), ["a"], flip=flip) == generation
        self.parents[generation] = self.current
        self.newest = generation
        if flip:
            self.current = generation

    @rule(data=st.data())
    def publish_any(self, data):
        generation = data.draw(st.sampled_from(sorted(self.parents)))
        with writing(self.store):
            publish(self.store, generation, "a person chose it")
        self.current = generation

    @rule()
    def roll_back_to_the_parent(self):
        parent = self.parents[self.current]
        if parent in self.parents:
            assert rollback(self.store, "bad") == parent
            self.current = parent
        else:
            with pytest.raises(NoSnapshotError):
                rollback(self.store, "bad")

    @rule(keep=st.integers(1, 4))
    def sweep_all_but(self, keep):
        old = sorted(self.parents)[:-keep]
        expected = [n for n in old if n != self.current and n not in self.held]
        with writing(self.store):
            assert prune(self.store, keep) == expected
        for generation in expected:
            del self.parents[generation]

    @rule(data=st.data())
    def hold_one_open(self, data):
        generation = data.draw(st.sampled_from(sorted(self.parents)))
        if generation not in self.held:
            self.held[generation] = open_snapshot(self.store, generation)

    @precondition(lambda self: self.held)
    @rule()
    def let_go(self):
        self.held.popitem()[1].close()

    @rule()
    def die_while_building(self):
        folder = building_folder(self.store, self.newest + 1)
        folder.mkdir()
        (folder / "recs.mdb").write_bytes(b"half")

    @rule()
    def die_before_the_flip(self):
        with (self.store / "JOURNAL").open("a") as file:
            file.write(f"2026-03-01T02:30:00+00:00\t{self.newest}\tpublish\tnever flip")

    @invariant()
    def the_store_is_as_the_model_says(self):
        assert generations(self.store) == sorted(self.parents)
        assert current_or_none(self.store) == self.current

    @invariant()
    def what_is_served_is_whole(self):
        if self.current is not None and self.current not in self.held:
            with open_snapshot(self.store, self.current) as snapshot:
                assert list(broken_records(snapshot)) == []
                assert dict(snapshot.users) == {
                    user.encode(): b",".join(name.encode() for name in names)
                    for user, names in _lists(self.current).items()
                }

    @invariant()
    def after_a_writer_the_journal_ends_with_what_is_current(self):
        if self.current is not None:
            with writing(self.store):
                lines = [line for line in journal(self.store) if line.what != "void"]
            last = journal(self.store)[-1]
            assert last.what == "void" or last.generation == self.current
            assert {line.generation for line in lines} >= {self.current}


def _lists(generation):
    return {"ann": [f"item{generation}", "a"], f"user{generation}": ["a"]}


TestSequences = StoreMachine.TestCase
TestSequences.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
