"""Small snapshots with a served model, events since then, and the lists that the batch would make.

made_events ─► aggregate_events ─► a fitted model ─► write_snapshot     published
further events ─► write_segment                                         beside the days
all events ─► `expected_lists`: aggregated, weighed and folded in as one, by the batch
"""

import dataclasses
import json
import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from batch.events.day_files import DayFile, rows_by_day, write_rows
from batch.events.event_types import EVENT_TYPES
from batch.events.events import Events
from batch.events.parsed import RATINGS, VIEWS, to_table
from batch.interactions.aggregate import aggregate_events
from batch.interactions.build import Interactions, Ratings
from batch.interactions.weights import Weighting, weigh
from batch.models.blend import blended
from batch.models.choice import Candidate, Choice
from batch.models.choose import recommender
from batch.models.fitted_auto import fitted_auto
from batch.models.view_order import order_views
from batch.records.catalogue import Item
from batch.rules.rules import Rules
from batch.rules.settings import RuleSettings
from batch.served.files import open_served, served_document, write_served
from batch.served.history import Histories
from batch.served.make import served_model
from batch.settings import MODELS, BatchSettings
from batch.unavailable import Unavailable
from store.gate_result import GateResult
from store.layout import FACTORS, INDEX, LIST_LENGTH, RECS
from store.model_files import SERVED_MODEL
from store.publish import publish, writing
from store.snapshot import open_snapshot
from store.writer import SnapshotWriter

AT = datetime(2026, 3, 9, tzinfo=UTC)
DAY = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
N_USERS, N_ITEMS = 40, 45
ITEM_IDS = [f"i{row:02d}" for row in range(N_ITEMS)]
SETTINGS = BatchSettings(
    n_factors=6,
    iterations=3,
    holdout_users=0,
    n_neighbours=8,
    ials_factors=6,
    ials_iterations=3,
    spectral_factors=5,
    ease_regularization=20.0,
    graph_filter_singular_vectors=6,
    n_threads=1,
)

SINGLE = tuple(name for name in MODELS if name not in ("auto", "bpr"))
BLENDS = (
    "ials+spectral+popularity",
    "ials+ease",
    "graph_filter+last_items",
    "rp3beta+als+item_knn",
)
NO_RULES = RuleSettings(availability=False)


def made_items():
    """Return a catalogue: genres, some adult titles, some of unknown runtime, languages, costs."""
    rng = random.Random(4)
    return {
        name: Item(
            title=name,
            year=1980 + row,
            genres=tuple(rng.sample(["Drama", "Horror", "Noir"], rng.randint(0, 2))),
            runtime=None if row % 9 == 0 else 90.0,
            adult=row % 7 == 0,
            language=("fr", "de", "en", None)[row % 4],
            cost=row % 5 / 10,
        )
        for row, name in enumerate(ITEM_IDS)
    }


@dataclass(frozen=True)
class MadeEvents:
    """Views and ratings as tables."""

    views: pa.Table
    ratings: pa.Table

    def __add__(self, other):
        tables = zip((self.views, self.ratings), (other.views, other.ratings), strict=True)
        return MadeEvents(*(pa.concat_tables(pair).unify_dictionaries() for pair in tables))


def made_events(seed, first_day, n_days, *, users=range(N_USERS), n_events=300):
    """Return random events: minutes known and unknown, ratings on the scale and off it."""
    rng = random.Random(seed)
    views, ratings = [], []
    for _ in range(n_events):
        user = f"u{rng.choice(users):02d}"
        item = ITEM_IDS[min(int(rng.paretovariate(0.7)), N_ITEMS) - 1]
        at = DAY + 86_400 * (first_day + rng.randrange(n_days)) + rng.randrange(86_000)
        if rng.random() < 0.3:
            ratings.append((user, item, float(rng.choice([1, 2, 3, 4, 5, 9])), at))
        else:
            minute = rng.choice([None, 3, 40, 80, 120])
            views.append((user, item, minute, 1, at, at + 60))
    return MadeEvents(_table(VIEWS, views), _table(RATINGS, ratings))


def _table(schema, rows):
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [
        pa.array(column, field.type if field.name[-3:] != "_id" else pa.string())
        for column, field in zip(columns, schema, strict=True)
    ]
    return to_table(arrays, schema)


def write_segment(folder, events, segment):
    """Write events as segments of their days; without a number as the days' own files."""
    for kind in EVENT_TYPES[:2]:
        for day, rows in rows_by_day(kind, [getattr(events, kind.name)]):
            path = DayFile(kind, day, segment).path(folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_rows(kind, path.with_name(".new"), [rows])
            path.with_name(".new").replace(path)


@dataclass(frozen=True)
class World:
    """Everything that a snapshot is made from."""

    items: dict
    settings: BatchSettings
    rules: RuleSettings
    minors: frozenset = frozenset()

    def aggregated(self, events):
        runtimes = {name: item.runtime for name, item in self.items.items()}
        all_events = Events(events.views, events.ratings, 0, 0, ())
        return aggregate_events(all_events, runtimes, 5.0, with_latest=True, n_threads=1)

    def interactions(self, events, latest=None):
        """Return the interactions of events, with a row for every item."""
        found = self.aggregated(events)
        weighting = Weighting.from_settings(self.settings)
        evidence = found.evidence
        if not weighting.half_life_days:
            evidence = dataclasses.replace(evidence, last_at=None)
        rows = np.array([ITEM_IDS.index(name) for name in found.item_ids.to_pylist()], np.int32)
        matrix = found.pairs.matrix(weigh(evidence, weighting, latest), len(found.item_ids))
        matrix.indices = rows[matrix.indices]
        matrix.resize(matrix.shape[0], N_ITEMS)
        none = np.zeros(0, np.int64)
        return Interactions(
            found.user_ids,
            pa.array(ITEM_IDS),
            matrix,
            Ratings(none, none, none.astype(np.float32), 5.0),
            Counter(),
            0,
            found.began_at,
            evidence,
        )

    def rules_of(self, interactions):
        made = Rules.of(self.rules, interactions, self.items, {}, at=AT, salt="1")
        users = interactions.user_ids.to_pylist()
        return dataclasses.replace(made, minors=np.array([name in self.minors for name in users]))


def body(rows):
    return b",".join(ITEM_IDS[row].encode() for row in rows if row >= 0)


def write_snapshot(store, world, ranker, interactions, *, inputs=(), factors=None):
    """Write a snapshot whose lists are those of the batch, publish it, and return its lists."""
    served = served_model(ranker, interactions, interactions.began_at, world.settings, 1)
    assert not isinstance(served, Unavailable)
    item_factors = np.ones((N_ITEMS, 1), np.float32) if factors is None else factors
    n_kept = LIST_LENGTH + world.settings.n_spares
    found = world.rules_of(interactions).lists(ranker, item_factors, n_kept, n_threads=1)
    names = [name.encode() for name in interactions.user_ids.to_pylist()]
    rows = found.item_rows.tolist()
    items = {
        name: {key: value for key, value in dataclasses.asdict(item).items() if value is not None}
        for name, item in world.items.items()
    }
    tables = {
        "users": [(name, body(own[:20])) for name, own in zip(names, rows, strict=True)],
        "spares": [(name, body(own[20:])) for name, own in zip(names, rows, strict=True)],
        "similar": [],
        "fallback": [(b"popular", body(range(20)))],
        "profiles": [(name.encode(), b"13-17 minor") for name in sorted(world.minors)],
        "items": [(name.encode(), json.dumps(about).encode()) for name, about in items.items()],
        "rows": sorted((b"%d" % row, name.encode()) for row, name in enumerate(ITEM_IDS)),
    }
    rules = dataclasses.asdict(world.rules) | {"at": AT.isoformat()}
    with writing(store):
        with SnapshotWriter(store) as writer:
            for table, records in tables.items():
                writer.table(RECS, table, records)
            vectors = [
                (name.encode(), row.astype("<f4").tobytes())
                for name, row in zip(ITEM_IDS, item_factors, strict=True)
            ]
            writer.table(FACTORS, "items", vectors)
            writer.path(INDEX).touch()
            write_served(writer, served.model, served.records(names))
            manifest = writer.finish(
                began_at=AT.isoformat(), finished_at=AT.isoformat(), code_version="test",
                inputs=[*inputs], metrics={}, gate=GateResult(),
                parameters={
                    SERVED_MODEL: served_document(served), "rules": rules,
                    "n_spares": world.settings.n_spares,
                },
            )  # fmt: skip
        publish(store, manifest.generation, "made by a test")
    return dict(zip(names, [(body(own[:20]), body(own[20:])) for own in rows], strict=True))


def expected_lists(
    store, world, events, latest, *, hidden=(), factors=None, n_kept=30, generation=1
):
    """Return list and spares of each user that the batch would make of all events at once."""
    interactions = world.interactions(events, latest)
    at, weights = interactions.began_at, interactions.weights
    histories = Histories(weights, order_views(weights, at, seed=1, n_threads=1).n_later)
    item_factors = np.ones((N_ITEMS, 1), np.float32) if factors is None else factors
    with open_snapshot(store, generation) as snapshot, open_served(snapshot) as served:
        assert not isinstance(served, Unavailable)
        model = served.fold_in(histories)
        lists = world.rules_of(interactions).lists(
            model, item_factors, n_kept, hidden=hidden, n_threads=1
        )
    names = [name.encode() for name in interactions.user_ids.to_pylist()]
    rows = lists.item_rows.tolist()
    return dict(zip(names, [(body(own[:20]), body(own[20:])) for own in rows], strict=True))


def fit_all(world, events):
    interactions = world.interactions(events)
    weights, at = interactions.weights, interactions.began_at
    single = {name: recommender(name, SETTINGS).fit(weights, at=at, n_threads=1) for name in SINGLE}
    blends = {
        name: blended([single[part] for part in parts], (1.0, 0.5, 0.25)[: len(parts)], weights)
        for name in BLENDS
        for parts in [name.split("+")]
    }
    choice = Choice((Candidate("ials", {}), Candidate("ease", {})), (0.0, 1.0))
    return {
        **single,
        **blends,
        "auto": fitted_auto(choice, [single["ials"], single["ease"]], weights),
    }
