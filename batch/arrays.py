"""The array types of the batch, each named once.

Shapes stand in the docstrings of what takes and returns them.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]  # factors, scores, weights
Doubles = npt.NDArray[np.float64]  # sums and metrics, where single precision is too coarse
AnyFloats = npt.NDArray[np.floating]  # of either precision
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]  # rows of users, items, events; positions in an array
ItemRows = npt.NDArray[np.int32]  # (n_users, k) lists as item rows
Codes = npt.NDArray[np.int32]  # of distinct ids
Integers = npt.NDArray[np.integer]  # of any width
Times = npt.NDArray[np.int64]  # seconds since 1970, UTC; 0 where unknown
Characters = npt.NDArray[np.uint8]  # bytes of text
Records = npt.NDArray[np.void]  # rows of a structured type
