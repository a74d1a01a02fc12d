"""Names: what lies where in a store and in a snapshot."""

from pathlib import Path
from typing import Final

FORMAT_VERSION: Final = 1

RECS: Final = "recs.mdb"  # everything that a request may look up
FACTORS: Final = "factors.mdb"  # vectors and biases; the hot path never opens it
INDEX: Final = "items.ann"  # Annoy, angular, item factors
MANIFEST: Final = "MANIFEST.json"
CHECKSUMS: Final = "SHA256SUMS"
DATA_FILES: Final = (FACTORS, INDEX, RECS)

LIST_LENGTH: Final = 20  # the most items of an answer
POPULAR: Final = b"popular"  # the key in `fallback` of the list for everybody
RESERVE: Final = b"reserve"  # and of what comes after it, for takedowns; as long as it likes

_BUILDING: Final = ".building"


def snapshots_folder(store: Path) -> Path:
    """The directory that holds one directory a generation."""
    return store / "snapshots"


def snapshot_folder(store: Path, generation: int) -> Path:
    """Where that generation lies, whether it exists or not."""
    return snapshots_folder(store) / f"{generation:06d}"


def manifests_folder(store: Path) -> Path:
    """Where the manifests of pruned snapshots are kept."""
    return store / "manifests"


def building_folder(store: Path, generation: int) -> Path:
    """Where that generation is built before it is renamed into place."""
    return snapshots_folder(store) / f"{generation:06d}{_BUILDING}"


def generations(store: Path) -> list[int]:
    """The generations that lie in the store, oldest first."""
    folder = snapshots_folder(store)
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isdecimal())


def unfinished(store: Path) -> list[Path]:
    """What builds left behind that never came to their rename."""
    return sorted(snapshots_folder(store).glob(f"*{_BUILDING}"))
