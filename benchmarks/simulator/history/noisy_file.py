"""A file of lines, a share of them broken while writing, and the list of broken lines.

Each is listed with its line number and the verdict of the strict patterns, so
that a test has the exact set of lines that must be rejected.
"""

from collections.abc import Callable, Mapping
from typing import IO, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.simulator.history import breakage
from benchmarks.simulator.history.noise import Noise
from benchmarks.simulator.history.strict import is_sound

Break = Callable[[bytes, np.random.Generator], bytes]

_PATTERNS: Final = {
    "item": "GET /(?:data/m|rate)/",
    "minute": "GET /data/m/",
    "rating": "GET /rate/",
    "number": "GET /rate/",
}
_BREAKERS: Final[Mapping[str, Break]] = {
    "foreign": breakage.foreign,
    "item": breakage.item,
    "minute": breakage.minute,
    "rating": breakage.rating,
    "number": breakage.number,
    "truncated": breakage.truncated,
    "fields": breakage.fields,
    "time": breakage.time,
    "date": breakage.date,
    "encoding": breakage.encoding,
    "schema": breakage.schema,
}
_MAX_LAG_LINES: Final = 200  # lines


class Broken(NamedTuple):
    """One broken line.

    Attributes:
        file: Relative path, such as `events/2026-01-01.log`.
        line: Line number, from 1.
        kind: Kind of noise, one of KINDS.
        verdict: "rejected" by the strict patterns, or "parses".
    """

    file: str
    line: int
    kind: str
    verdict: str


class _Piece(NamedTuple):
    """A line without its end that replaces another."""

    line: bytes
    kind: str | None


class NoisyFile:
    """Writes lines to a file and breaks some of them.

    Attributes:
        n_lines: Number of lines written.
        broken: Broken lines among them.
    """

    def __init__(self, file: IO[bytes], name: str, noise: Noise, rng: np.random.Generator) -> None:
        self.n_lines = 0
        self.broken: list[Broken] = []
        self._file = file
        self._name = name
        self._noise = noise
        self._rng = rng

    def write(self, lines: pa.StringArray) -> None:
        """Write lines that end in LF and break a share of them.

        Raises:
            OSError: The file cannot be written.
        """
        edits = self._edits(lines)
        offsets, data = _contents(lines)
        begin = 0
        for place in sorted(edits):
            self._put(data[offsets[begin] : offsets[place]], place - begin)
            for piece in edits[place]:
                self._put_piece(piece)
            begin = place + 1
        self._put(data[offsets[begin] : offsets[-1]], len(lines) - begin)

    def _put(self, lines: memoryview, n_lines: int) -> None:
        end = self._noise.line_end
        self._file.write(lines if end == b"\n" else bytes(lines).replace(b"\n", end))
        self.n_lines += n_lines

    def _put_piece(self, piece: _Piece) -> None:
        self._file.write(piece.line + self._noise.line_end)
        self.n_lines += 1
        if piece.kind:
            verdict = "parses" if is_sound(piece.line) else "rejected"
            self.broken.append(Broken(self._name, self.n_lines, piece.kind, verdict))

    def _edits(self, lines: pa.StringArray) -> dict[int, list[_Piece]]:
        """Return the replacement of each broken line, by position."""
        edits: dict[int, list[_Piece]] = {}
        for kind, rate in self._noise.rates.items():
            for place in self._places(lines, kind, rate):
                if place in edits:
                    continue
                line = _line(lines, place)
                if kind in _BREAKERS:
                    edits[place] = [_Piece(_BREAKERS[kind](line, self._rng), kind)]
                elif kind == "blank":
                    edits[place] = [_Piece(b"", kind), _Piece(line, None)]
                elif kind == "duplicate":
                    edits[place] = [_Piece(line, None), _Piece(line, kind)]
                else:
                    self._move(lines, place, kind, edits)
        return edits

    def _move(
        self, lines: pa.StringArray, place: int, kind: str, edits: dict[int, list[_Piece]]
    ) -> None:
        """Move a line behind a later one, or join it with that one."""
        lag = 1 if kind == "joined" else int(self._rng.integers(2, _MAX_LAG_LINES))
        other = place + lag
        if other >= len(lines) or other in edits:
            return
        line, later = _line(lines, place), _line(lines, other)
        edits[place] = []
        if kind == "joined":
            edits[other] = [_Piece(line + later, kind)]
        else:
            edits[other] = [_Piece(later, None), _Piece(line, kind)]

    def _places(self, lines: pa.StringArray, kind: str, rate: float) -> list[int]:
        if kind in _PATTERNS:
            can = np.flatnonzero(pc.match_substring_regex(lines, _PATTERNS[kind]).to_numpy(False))
        else:
            can = np.arange(len(lines))
        n_broken = self._rng.binomial(len(can), rate)
        return [int(place) for place in np.sort(self._rng.choice(can, n_broken, replace=False))]


def _line(lines: pa.StringArray, place: int) -> bytes:
    return bytes(lines[place].as_py()[:-1].encode())


def _contents(lines: pa.StringArray) -> tuple[np.ndarray, memoryview]:
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return ends, memoryview(data if data is not None else b"")  # no lines: no data
