"""File and directory names in a store and in a snapshot."""

import re
from pathlib import Path
from typing import Final

FORMAT_VERSION: Final = 1

RECS: Final = "recs.mdb"  # tables that a request looks up
FACTORS: Final = "factors.mdb"  # vectors and biases; the hot path never opens it
INDEX: Final = "items.ann"  # Annoy, angular, item factors
MANIFEST: Final = "MANIFEST.json"
CHECKSUMS: Final = "SHA256SUMS"
DATA_FILES: Final = (FACTORS, INDEX, RECS)

LIST_LENGTH: Final = 20  # maximum number of items of an answer
POPULAR: Final = b"popular"  # key of the popular list in `fallback`
RESERVE: Final = b"reserve"  # key of the items behind it, for takedowns; of any length

_BUILDING: Final = ".building"
_FOLDER: Final = re.compile(r"[0-9]{6,13}")


def snapshots_folder(store: Path) -> Path:
    """Return the directory that holds one directory for each generation."""
    return store / "snapshots"


def snapshot_folder(store: Path, generation: int) -> Path:
    """Return the directory of a generation, which need not exist."""
    return snapshots_folder(store) / f"{generation:06d}"


def manifests_folder(store: Path) -> Path:
    """Return the directory of the manifests of pruned snapshots."""
    return store / "manifests"


def building_folder(store: Path, generation: int) -> Path:
    """Return the directory in which a generation is built before the rename."""
    return snapshots_folder(store) / f"{generation:06d}{_BUILDING}"


def generations(store: Path) -> list[int]:
    """Return the generations in the store, oldest first."""
    folder = snapshots_folder(store)
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if _FOLDER.fullmatch(name))


def unfinished(store: Path) -> list[Path]:
    """Return the directories of builds that were not finished."""
    return sorted(snapshots_folder(store).glob(f"*{_BUILDING}"))
