"""File and directory names in a store and in a snapshot."""

import re
from pathlib import Path
from typing import Final

FORMAT_VERSION: Final = 4  # the newest: in shards; 3 is of an arm, 2 has optional files, 1 neither
FORMAT_VERSIONS: Final = range(1, FORMAT_VERSION + 1)  # those that this code reads

RECS: Final = "recs.mdb"  # tables that a request looks up
FACTORS: Final = "factors.mdb"  # vectors and biases; the hot path never opens it
INDEX: Final = "items.ann"  # Annoy, angular, item factors
MANIFEST: Final = "MANIFEST.json"
CHECKSUMS: Final = "SHA256SUMS"
DATA_FILES: Final = (FACTORS, INDEX, RECS)  # those that every snapshot has
USER_TABLES: Final = ("users", "spares", "profiles", "teams")  # of RECS; shards hold them, if any
SEEN: Final = "seen.mdb"  # optional: items of each user; only the speed layer and tools open it

LIST_LENGTH: Final = 20  # maximum number of items of an answer
POPULAR: Final = b"popular"  # key of the popular list in `fallback`
RESERVE: Final = b"reserve"  # key of the items behind it, for takedowns; of any length

_BUILDING: Final = ".building"
_FOLDER: Final = re.compile(r"[0-9]{6,13}")
_SHARD_FILE: Final = re.compile(r"recs\.[0-9]{2}\.mdb")
_MODEL_FILE: Final = re.compile(r"model-[a-z0-9_-]{1,100}\.npy")


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


def shard_file(shard: int) -> str:
    """Return the name of the file that holds the users of a shard."""
    return f"recs.{shard:02}.mdb"


def is_shard_file(name: str) -> bool:
    """Return whether a file holds the users of a shard."""
    return _SHARD_FILE.fullmatch(name) is not None


def is_model_file(name: str) -> bool:
    """Return whether a file holds an array of the served model."""
    return _MODEL_FILE.fullmatch(name) is not None


def is_optional_file(name: str) -> bool:
    """Return whether a snapshot may have a data file of that name, and need not."""
    return name == SEEN or is_shard_file(name) or is_model_file(name)


def generations(store: Path) -> list[int]:
    """Return the generations in the store, oldest first."""
    folder = snapshots_folder(store)
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if _FOLDER.fullmatch(name))


def unfinished(store: Path) -> list[Path]:
    """Return the directories of builds that were not finished."""
    return sorted(snapshots_folder(store).glob(f"*{_BUILDING}"))
