"""A published snapshot out of tables in memory, through the product's own writer.

    write_snapshot(store, lambda generation: {RECS: {"users": [(b"ann", b"a,b")]}})

Other tables are written empty; histories, in `SEEN`, only if they are given.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from store.gate_result import GateResult
from store.layout import FACTORS, INDEX, RECS, SEEN
from store.publish import publish, writing
from store.writer import SnapshotWriter

Records = Iterable[tuple[bytes, bytes]]  # sorted by key
Tables = Mapping[str, Mapping[str, Records]]  # by file, by name of the table

WHY: Final = "benchmark"
ABOUT: Final[Mapping[str, Any]] = {
    "began_at": "2026-03-01T02:30:00+00:00",
    "finished_at": "2026-03-01T02:30:00+00:00",
    "code_version": "benchmark",
    "inputs": [],
    "metrics": {},
    "gate": GateResult(),
}
_TABLES: Final = {
    RECS: ("users", "spares", "similar", "fallback", "profiles", "items", "rows"),
    FACTORS: ("users", "items", "biases"),
}


@dataclass(frozen=True, slots=True)
class Extras:
    """The parts of a snapshot besides its tables.

    Attributes:
        write_index: Writes the Annoy index to a path; by default an empty file.
        parameters: Parameters of the manifest.
        is_published: Whether the new generation becomes current.
        n_shards: Number of files that the users are divided among.
    """

    write_index: Callable[[Path], object] = Path.touch
    parameters: Mapping[str, Any] = field(default_factory=dict)
    is_published: bool = True
    n_shards: int = 1


def write_snapshot(
    store: Path, make_tables: Callable[[int], Tables], extras: Extras | None = None
) -> int:
    """Write one snapshot and return its generation.

    Args:
        store: Store to write to; made if it does not exist.
        make_tables: Returns the tables of a generation.
        extras: Index, parameters, and whether to publish.
    """
    extras = extras or Extras()
    with writing(store), SnapshotWriter(store, extras.n_shards) as writer:
        generation = writer.generation
        tables = make_tables(generation)
        for file, names in _TABLES.items():
            for name in names:
                writer.table(file, name, tables.get(file, {}).get(name, ()))
        if SEEN in tables:
            writer.table(SEEN, "users", tables[SEEN]["users"])
        extras.write_index(writer.path(INDEX))
        writer.finish(parameters=dict(extras.parameters), **ABOUT)
        if extras.is_published:
            publish(store, generation, why=WHY)
    return generation
