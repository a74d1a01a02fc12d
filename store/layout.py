"""File and directory names in a store and in a snapshot."""

import re
from pathlib import Path
from typing import Final

FORMAT_VERSION: Final = 3  # the newest: of an arm; 2 has optional files, 1 has neither
FORMAT_VERSIONS: Final = range(1, FORMAT_VERSION + 1)  # those that this code reads

RECS: Final = "recs.mdb"  # tables that a request looks up
FACTORS: Final = "factors.mdb"  # vectors and biases; the hot path never opens it
INDEX: Final = "items.ann"  # Annoy, angular, item factors
MANIFEST: Final = "MANIFEST.json"
CHECKSUMS: Final = "SHA256SUMS"
DATA_FILES: Final = (FACTORS, INDEX, RECS)  # those that every snapshot has
SEEN: Final = "seen.mdb"  # optional: items of each user; only the speed layer and tools open it

REPORT_HTML: Final = "report.html"
REPORT_JSON: Final = "report.json"
MODEL_CARD: Final = "MODEL_CARD.md"
LIST_COUNTS: Final = "list_counts.json"  # number of users' lists that hold each item, by item id
REPORT_FILES: Final = (REPORT_HTML, REPORT_JSON, MODEL_CARD, LIST_COUNTS)  # without checksums

LIST_LENGTH: Final = 20  # maximum number of items of an answer
POPULAR: Final = b"popular"  # key of the popular list in `fallback`
RESERVE: Final = b"reserve"  # key of the items behind it, for takedowns; of any length

_BUILDING: Final = ".building"
_FOLDER: Final = re.compile(r"[0-9]{6,13}")
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


def is_model_file(name: str) -> bool:
    """Return whether a file holds an array of the served model."""
    return _MODEL_FILE.fullmatch(name) is not None


def is_optional_file(name: str) -> bool:
    """Return whether a snapshot may have a data file of that name, and need not."""
    return name == SEEN or is_model_file(name)


def generations(store: Path) -> list[int]:
    """Return the generations in the store, oldest first."""
    folder = snapshots_folder(store)
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if _FOLDER.fullmatch(name))


def unfinished(store: Path) -> list[Path]:
    """Return the directories of builds that were not finished."""
    return sorted(snapshots_folder(store).glob(f"*{_BUILDING}"))
