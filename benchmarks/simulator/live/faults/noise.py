"""Noise on live lines: batch by batch, with the number of every line that it breaks."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.simulator.history.noise import KINDS, Noise
from benchmarks.simulator.history.noisy_file import Broken, NoisyFile

_END = b"\n"


class LineNoise:
    """Breaks a share of the lines; late lines stay within their batch.

    Args:
        values: Values of its specification.
        rng: Random generator of this noise.
    """

    def __init__(self, values: Mapping[str, Any], rng: np.random.Generator) -> None:
        weights = {kind: KINDS[kind] for kind in values["only"]}
        total = sum(weights.values())
        rates = {kind: values["share"] * weight / total for kind, weight in weights.items()}
        self._noise = Noise({kind: rate for kind, rate in rates.items() if rate})
        self._rng = rng

    def lines(self, lines: Sequence[bytes], n_before: int) -> tuple[list[bytes], list[Broken]]:
        """Return the lines with noise, and the broken lines among them.

        Args:
            lines: Lines in UTF-8, without line ends.
            n_before: Number of lines of the stream before them.
        """
        text = io.BytesIO()
        noisy = NoisyFile(text, "", self._noise, self._rng)
        noisy.n_lines = n_before
        noisy.write(pa.array([line + _END for line in lines], pa.binary()).cast(pa.string()))
        return text.getvalue().split(_END)[:-1], noisy.broken
