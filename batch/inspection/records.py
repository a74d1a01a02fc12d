"""A look at a catalogue or at profiles, read whole by the readers of the refresh."""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from batch.columns.names import ITEM, USER
from batch.files.archives import open_readable
from batch.files.input_file import InputFile
from batch.inspection.view import N_ROWS, Look, Reading
from batch.records.catalogue import Catalogue, read_catalogues
from batch.records.found import catalogue_counts, profile_counts, record_warnings
from batch.records.profiles import Profiles, read_profiles
from batch.records.read import RecordFile
from batch.settings import BatchSettings


def look_at_catalogue(path: Path, settings: BatchSettings) -> Look:
    """Read a path as a catalogue.

    Raises:
        InputError: A file is damaged.
        UnreadKindError: No file of it is a catalogue.
    """

    def read(file: InputFile) -> tuple[str, Reading]:
        catalogue = read_catalogues([file], settings.columns.get(ITEM))
        warnings = record_warnings(catalogue, Profiles({}, ()))
        counts = catalogue_counts(catalogue)
        reading = _reading("catalogue", catalogue.sources[0], catalogue.items, counts)
        return str(file), dataclasses.replace(reading, warnings=warnings)

    readings, not_read = open_readable(path, read)
    return Look(dict(readings), not_read)


def look_at_profiles(path: Path, settings: BatchSettings) -> Look:
    """Read a path as profiles.

    Raises:
        InputError: A file is damaged.
        UnreadKindError: No file of it has profiles.
    """

    def read(file: InputFile) -> tuple[str, Reading]:
        profiles = read_profiles([file], settings.columns.get(USER))
        warnings = record_warnings(Catalogue({}, ()), profiles)
        counts = profile_counts(profiles)
        reading = _reading("profiles", profiles.sources[0], profiles.users, counts)
        return str(file), dataclasses.replace(reading, warnings=warnings)

    readings, not_read = open_readable(path, read)
    return Look(dict(readings), not_read)


def _reading(
    use: str, source: RecordFile, records: Mapping[str, Any], counts: Mapping[str, int]
) -> Reading:
    n_rejected = source.n_rejected
    return Reading(
        use=use,
        kind=source.kind,
        columns=source.fields,
        rows=[{"id": name, **_known(record)} for name, record in islice(records.items(), N_ROWS)],
        counts={name: n for name, n in counts.items() if n},
        ranges=_ranges([*records.values()]),
        rejected={"no valid id": n_rejected} if n_rejected else {},
        rejected_share=round(n_rejected / (n_rejected + len(records)), 4),
        notes=source.notes,
    )


def _known(record: Any) -> dict[str, Any]:
    """Return the fields of a record that are known."""
    return {name: value for name, value in dataclasses.asdict(record).items() if _is_known(value)}


def _is_known(value: object) -> bool:
    return value is not None and value != ()


def _ranges(records: Sequence[Any]) -> dict[str, tuple[Any, Any]]:
    """Return the smallest and largest value of each field of numbers."""
    ranges = {}
    for field in dataclasses.fields(records[0]):
        values = [getattr(record, field.name) for record in records]
        numbers = [one for one in values if isinstance(one, int | float) and one is not True]
        if numbers and not any(one is False for one in numbers):
            ranges[field.name] = (min(numbers), max(numbers))
    return ranges
