"""A check for NaN and infinity, which `implicit` accepts silently."""

import numpy as np

from batch.arrays import AnyFloats
from batch.errors import BatchError


def check_finite(values: AnyFloats, what: str) -> None:
    """Raise BatchError with their number if any values are NaN or infinite."""
    n_bad = values.size - int(np.isfinite(values).sum())
    if n_bad:
        raise BatchError(
            what,
            f"{n_bad:,} of {values.size:,} are NaN or infinite",
            "lower [batch] alpha or raise regularization; report it if that does not help",
        )
