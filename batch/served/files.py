"""The served model and the histories, written to a snapshot and read back.

write_served ─► model-NAME.npy, seen.mdb, document for the manifest
open_served  ─► `SnapshotModel`: model, histories by user id, item ids by row
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from batch.arrays import AnyArray
from batch.models.blend import FittedBlend
from batch.models.item_item import FittedItemItem
from batch.models.last_items import Decayed
from batch.models.protocol import Fitted
from batch.served.document import Document, ModelDocument, restore
from batch.served.history import Histories, history_records, read_histories
from batch.unavailable import Unavailable
from store.errors import CorruptSnapshotError
from store.layout import RECS, SEEN, is_model_file
from store.model_files import SERVED_MODEL, UNAVAILABLE, array_bytes, array_header
from store.snapshot import Snapshot, Table, open_seen
from store.writer import SnapshotWriter


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The model that made the lists, and the histories that it made them from.

    Attributes:
        model: Model without its users.
        histories: Histories of all users, in the order of their ids.
    """

    model: ModelDocument
    histories: Histories

    def records(self, user_ids: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield the history of each user as a record.

        Args:
            user_ids: (n_users,) ids, ascending.
        """
        return history_records(user_ids, self.histories, self.model.document["history"])


def served_document(served: ServedModel | Unavailable) -> Document:
    """Return what the manifest says about the files."""
    if isinstance(served, Unavailable):
        return {UNAVAILABLE: served.reason}
    return served.model.document


def write_served(
    writer: SnapshotWriter, model: ModelDocument, histories: Iterable[tuple[bytes, bytes]]
) -> None:
    """Write the arrays of the model, and the history of each user.

    Args:
        writer: Writer of the snapshot.
        model: Model without its users.
        histories: Records of the users, ascending by id; see `ServedModel.records`.

    Raises:
        WriteError: The disk is full.
    """
    for name, array in model.arrays.items():
        with writer.path(name).open("wb") as file:
            contiguous = np.ascontiguousarray(array)
            np.lib.format.write_array(file, contiguous, version=(1, 0), allow_pickle=False)
    writer.table(SEEN, "users", histories)


@dataclass(frozen=True, slots=True)
class SnapshotModel:
    """The served model of an open snapshot.

    Attributes:
        model: Fitted model without users.
        item_ids: (n_items,) item id of each row.
        columns: Columns of the histories.
        seen: History of each user by user id.
    """

    model: Fitted
    item_ids: Sequence[str]
    columns: Sequence[str]
    seen: Table

    def histories(self, user_ids: Sequence[str]) -> Histories:
        """Return the histories of users in the snapshot; of unknown ones an empty one."""
        values = [self.seen.get(user_id.encode()) for user_id in user_ids]
        return read_histories(values, self.columns, len(self.item_ids))

    def fold_in(self, histories: Histories) -> Fitted:
        """Return the model with these users, whose lists are those that the batch would make.

        Args:
            histories: Whole histories: those of the snapshot with new interactions merged.
        """
        return folded_in(self.model, histories)


@contextlib.contextmanager
def open_served(snapshot: Snapshot) -> Iterator[SnapshotModel | Unavailable]:
    """Yield the served model of an open snapshot, its arrays mapped, or why there is none.

    Raises:
        CorruptSnapshotError: An array or the document is not valid.
    """
    document = snapshot.manifest.parameters.get(SERVED_MODEL)
    if not isinstance(document, dict) or SEEN not in snapshot.manifest.files:
        given = document.get(UNAVAILABLE) if isinstance(document, dict) else None
        yield Unavailable(str(given or "the snapshot was built without files for folding in"))
        return
    try:
        arrays = _mapped(snapshot)
        item_ids = _item_ids(snapshot)
        model = restore(document["model"], arrays, len(item_ids))
        columns = [str(name) for name in document["history"]]
    except (ValueError, LookupError, OSError) as error:
        raise CorruptSnapshotError(snapshot.folder, f"served model: {error}") from error
    with open_seen(snapshot) as seen:
        yield SnapshotModel(model, item_ids, columns, seen)


def _mapped(snapshot: Snapshot) -> dict[str, AnyArray]:
    """Return the arrays of a snapshot, read when they are used."""
    arrays: dict[str, AnyArray] = {}
    for name in filter(is_model_file, snapshot.manifest.data_files):
        path = snapshot.folder / name
        is_empty = array_bytes(array_header(path)) == 0  # nothing to map
        mapped = np.load(path, mmap_mode=None if is_empty else "r", allow_pickle=False)
        arrays[name] = np.asarray(mapped)
    return arrays


def _item_ids(snapshot: Snapshot) -> list[str]:
    n_items = snapshot.manifest.counts.get(f"{RECS}/rows", 0)
    found = [snapshot.rows.get(b"%d" % row) for row in range(n_items)]
    return [name.decode() for name in found if name is not None]


def folded_in(model: Fitted, histories: Histories) -> Fitted:
    """Return a model with these users in place of its own."""
    weights = histories.weights
    if isinstance(model, FittedBlend):
        factors = model.factors and model.factors.fold_in(weights)
        parts = [folded_in(part, histories) for part in model.parts]
        return replace(model, factors=factors, parts=parts, seen=weights)
    if isinstance(model, FittedItemItem) and isinstance(model.weigh, Decayed):
        if histories.n_later is None:
            raise ValueError("histories: the order of views is missing")
        history = model.weigh.by_place(weights, histories.n_later)
        return replace(model, history=history, popular=model.popular.fold_in(weights))
    return model.fold_in(weights)
