"""A fitted model as a document and its arrays, and back.

    FittedBlend ─► {"class": "FittedBlend", "parts": [{"class": …, "item_item": {"array": …}}], …}
                   model-parts-0-item_item.npy  …

Models and their solvers are records of arrays, numbers and further records, so one walk over
their fields is enough for all of them. What belongs to the users of the training data is left
out. An array that several fields share is one file.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyArray
from batch.models.blend import FittedBlend
from batch.models.factors import FittedFactors
from batch.models.fitted_auto import FittedAuto
from batch.models.fold_in import Joined, SameForAll, Standardised, WeightedSum, WithConstant
from batch.models.item_item import FittedItemItem, LowRank, as_given, ones
from batch.models.last_items import Decayed
from batch.models.least_squares_users import LeastSquares
from batch.models.protocol import Fitted, Ranker
from batch.unavailable import Unavailable
from store.model_files import HEADER_BYTES

_CLASSES: Final[Mapping[str, type[Any]]] = {
    one.__name__: one
    for one in (
        FittedBlend,
        FittedFactors,
        FittedItemItem,
        LowRank,
        Decayed,
        Joined,
        LeastSquares,
        SameForAll,
        Standardised,
        WeightedSum,
        WithConstant,
    )
}
_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {"ones": ones, "as_given": as_given}
_OF_USERS: Final = ("user_factors", "seen", "history", "about")  # fields that are left out
_WEIGHT_USERS: Final = ("LeastSquares", "WeightedSum", "Decayed", "as_given")
_CSR: Final = ("data", "indices", "indptr")

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelDocument:
    """A fitted model without its users.

    Attributes:
        document: JSON value for the manifest: classes, numbers, names of arrays.
        arrays: Arrays by file name.
    """

    document: Document
    arrays: Mapping[str, AnyArray]

    @property
    def n_bytes(self) -> int:
        """Size of the arrays' files in a snapshot, `model-NAME.npy`."""
        return sum(HEADER_BYTES + array.nbytes for array in self.arrays.values())


def describe(ranker: Ranker) -> ModelDocument | Unavailable:
    """Return a fitted model as a document and arrays; or why it cannot fold in users."""
    model = ranker.blend if isinstance(ranker, FittedAuto) else ranker
    walk = _Walk()
    try:
        document = walk.value(model, "")
    except _NotStorableError as error:
        return Unavailable(str(error))
    arrays = {
        name: {"shape": list(array.shape), "dtype": array.dtype.str}
        for name, array in sorted(walk.arrays.items())
    }
    about = {"model": document, "arrays": arrays, "history": _columns(document)}
    return ModelDocument(about, walk.arrays)


def restore(document: Document, arrays: Mapping[str, AnyArray], n_items: int) -> Fitted:
    """Return the fitted model of a document, without users.

    Args:
        document: Document of `describe`, its key `model`.
        arrays: Arrays by file name.
        n_items: Number of items.

    Raises:
        ValueError: The document is of another version of the code, or an array is missing.
    """
    try:
        model = _restored(document, arrays, n_items)
    except (LookupError, TypeError) as error:
        raise ValueError(f"served model: {error!r} is of another version") from error
    if not isinstance(model, FittedBlend | FittedFactors | FittedItemItem):
        raise ValueError(f"served model: {type(model).__name__} does not rank items")  # noqa: TRY004
    return model


class _NotStorableError(Exception):
    """A part of a model is not a record of arrays and numbers."""


class _Walk:
    """Walks over a model.

    Attributes:
        arrays: Arrays found so far by file name.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, AnyArray] = {}
        self._name_of: dict[int, str] = {}

    def value(self, found: Any, path: str) -> Any:
        """Return the JSON value of a field.

        Args:
            found: Value of the field.
            path: Names of the fields above it and its own, for the name of an array's file.
        """
        if found is None or isinstance(found, bool | int | float | str):
            return found
        if isinstance(found, np.ndarray):
            return {"array": self._array(found, path)}
        if isinstance(found, sp.csr_matrix):
            parts = {name: self._array(getattr(found, name), f"{path}-{name}") for name in _CSR}
            return {"sparse": parts, "shape": list(found.shape)}
        if name := next((name for name, one in _FUNCTIONS.items() if one is found), ""):
            return {"function": name}
        if type(found).__name__ in _CLASSES:
            values = {name: self.value(value, f"{path}-{name}") for name, value in _fields(found)}
            return {"class": type(found).__name__, **values}
        if isinstance(found, list | tuple):
            return [self.value(one, f"{path}-{number}") for number, one in enumerate(found)]
        raise _NotStorableError(f"{_name_of(found)} cannot fold in users from files")

    def _array(self, array: AnyArray, path: str) -> str:
        if id(array) not in self._name_of:
            name = f"model{path}.npy"
            self._name_of[id(array)] = name
            self.arrays[name] = array
        return self._name_of[id(array)]


def _name_of(found: Any) -> str:
    return getattr(found, "__module__", "").rpartition(".")[2] or type(found).__name__


def _fields(found: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a record but those of its users."""
    names = [field.name for field in fields(found)] if is_dataclass(found) else found._fields
    return ((name, getattr(found, name)) for name in names if name not in _OF_USERS)


def _restored(value: Any, arrays: Mapping[str, AnyArray], n_items: int) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_restored(one, arrays, n_items) for one in value]
    if not isinstance(value, Mapping):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "function" in value:
        return _FUNCTIONS[value["function"]]
    if "sparse" in value:
        parts: Any = tuple(arrays[value["sparse"][name]] for name in _CSR)
        return sp.csr_matrix(parts, shape=tuple(value["shape"]), copy=False)
    made = _CLASSES[value["class"]]
    known = {
        name: _restored(one, arrays, n_items) for name, one in value.items() if name != "class"
    }
    return made(**known, **_without_users(made, known, n_items))


def _without_users(made: type[Any], known: Mapping[str, Any], n_items: int) -> dict[str, Any]:
    """Return the fields that belong to users, for none of them."""
    nobody = sp.csr_matrix(np.zeros((0, n_items), np.float32))
    if made is FittedFactors:
        n_factors = known["item_factors"].shape[1]
        return {"seen": nobody, "user_factors": np.zeros((0, n_factors), np.float32)}
    if made is FittedItemItem:
        return {"history": nobody}
    return {"seen": nobody} if made is FittedBlend else {}


def _columns(document: Document) -> list[str]:
    """Return the columns of a history that the model needs; see `history`."""
    names = set(_names(document))
    columns = ["item_row"]
    if not names.isdisjoint(_WEIGHT_USERS):
        columns.append("weight")
    if "Decayed" in names:
        columns.append("n_later")
    return columns


def _names(value: Any) -> Iterator[str]:
    """Yield the names of all classes and functions of a document."""
    if isinstance(value, Mapping):
        yield from (value[key] for key in ("class", "function") if key in value)
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _names(one)
