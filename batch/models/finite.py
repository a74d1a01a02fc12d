"""NaN and infinity stop here: `implicit` would take them without a word."""

import numpy as np
import numpy.typing as npt

from batch.errors import BatchError


def check_finite(values: npt.NDArray[np.floating], what: str) -> None:
    """Raise BatchError if any value is NaN or infinite, and say how many are."""
    n_bad = values.size - int(np.isfinite(values).sum())
    if n_bad:
        raise BatchError(
            what,
            f"{n_bad:,} of {values.size:,} are NaN or infinite",
            "lower [batch] alpha or raise regularization; if it stays so, report it",
        )
