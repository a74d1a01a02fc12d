"""Interleaving: a snapshot whose lists are drafted from those of two others.

    generation 41, users ─┐                    users   merged list
    generation 42, users ─┴─► team draft ─►    teams   3 bytes of team bits
    generation 41 ───────────────────────►     everything else

So a request stays one lookup. Users without a list in one of the two keep the other's,
and belong to no team. The snapshot has no model: nothing is folded into merged lists.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from store.items import split
from store.layout import FACTORS, INDEX, RECS
from store.manifest import Manifest
from store.merge_join import merge_join
from store.model_files import SERVED_MODEL
from store.snapshot import Snapshot, Table, open_factors, open_snapshot
from store.team_draft import coins_function, pack_teams, team_draft
from store.writer import SnapshotWriter

INTERLEAVED: Final = "interleaved"  # arm in the manifest, and parameter: generations of the teams
_COPIED: Final = ("similar", "fallback", "profiles")

Record = tuple[bytes, bytes]


def interleave(store: Path, control: int, treatment: int, salt: str) -> Manifest:
    """Build a snapshot that interleaves two generations. The caller holds `writing`.

    Args:
        store: Directory of the store.
        control: Generation of team 0, of which all other tables are.
        treatment: Generation of team 1.
        salt: Salt of the experiment, from which the coins are made.

    Returns:
        The manifest of the new snapshot, of arm `interleaved`; it is not published.

    Raises:
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError: One of the two
            cannot be read.
        WriteError: The disk is full or broken; nothing is left behind.
    """
    began_at = datetime.now(UTC)
    with (
        open_snapshot(store, control) as first,
        open_snapshot(store, treatment) as second,
        SnapshotWriter(store, first.manifest.n_shards) as writer,
    ):
        writer.table(RECS, "users", _users(first, second, salt))
        writer.table(RECS, "spares", _spares(first, second, salt))
        writer.table(RECS, "teams", _teams(first, second, salt))
        for name in _COPIED:
            writer.table(RECS, name, getattr(first, name))
        writer.table(RECS, "items", _items(first, second))
        writer.table(RECS, "rows", first.rows)
        _copy_factors(first, writer)
        shutil.copyfile(first.folder / INDEX, writer.path(INDEX))
        about = first.manifest
        parameters = {key: value for key, value in about.parameters.items() if key != SERVED_MODEL}
        return writer.finish(
            began_at=began_at.isoformat(timespec="seconds"),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            code_version=about.code_version,
            inputs=about.inputs,
            parameters=parameters | {INTERLEAVED: [control, treatment]},
            metrics=about.metrics,
            gate=about.gate,
            arm=INTERLEAVED,
        )


def _drafts(
    first: Snapshot, second: Snapshot, salt: str
) -> Iterator[tuple[bytes, list[bytes], list[int]]]:
    coins_of = coins_function(salt)
    for user_id, found in merge_join({"first": first.users, "second": second.users}):
        merged = team_draft(
            split(found.get("first")), split(found.get("second")), coins_of(user_id)
        )
        yield user_id, merged.names, merged.teams


def _users(first: Snapshot, second: Snapshot, salt: str) -> Iterator[Record]:
    return ((user, b",".join(names)) for user, names, _ in _drafts(first, second, salt))


def _teams(first: Snapshot, second: Snapshot, salt: str) -> Iterator[Record]:
    return ((user, pack_teams(teams)) for user, _, teams in _drafts(first, second, salt))


def _spares(first: Snapshot, second: Snapshot, salt: str) -> Iterator[Record]:
    for user_id, names, _ in _drafts(first, second, salt):
        body = first.spares.get(user_id) or second.spares.get(user_id)
        kept = [name for name in split(body) if name not in names]
        if kept:
            yield user_id, b",".join(kept)


def _items(first: Snapshot, second: Snapshot) -> Iterator[Record]:
    """Yield the entries of both; those of the second alone have no row in the index."""
    for item_id, found in merge_join({"first": first.items, "second": second.items}):
        if (entry := found.get("first")) is None:
            about = json.loads(found["second"])
            about.pop("item_row", None)
            entry = json.dumps(about).encode()
        yield item_id, entry


def _copy_factors(snapshot: Snapshot, writer: SnapshotWriter) -> None:
    with closing(open_factors(snapshot)) as factors:
        for path in snapshot.manifest.counts:
            file, _, name = path.partition("/")
            if file == FACTORS:
                table = factors.open_db(name.encode(), create=False)
                writer.table(FACTORS, name, Table(factors.begin(db=table)))
