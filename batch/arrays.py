"""The array types of the batch, each named once.

Shapes are stated in the docstrings of the functions and records that use them.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]  # factors, scores, weights
Doubles = npt.NDArray[np.float64]  # sums and metrics, where single precision is too coarse
AnyFloats = npt.NDArray[np.floating]  # single or double precision
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]  # rows of users, items, events; positions in an array
ItemRows = npt.NDArray[np.int32]  # (n_users, k) lists as item rows
Codes = npt.NDArray[np.int32]  # codes of distinct ids
Integers = npt.NDArray[np.integer]  # integers of any width
Times = npt.NDArray[np.int64]  # seconds since 1970, UTC; 0 where unknown
Characters = npt.NDArray[np.uint8]  # bytes of text
AnyArray = npt.NDArray[np.generic]  # any type, for sizes and files
Records = npt.NDArray[np.void]  # rows of a structured type
Hashes = npt.NDArray[np.uint64]  # of values or rows
Words = npt.NDArray[np.uint32]  # four bytes of text, or a hash of 32 bits
