"""The leading right singular vectors of a sparse matrix, by subspace iteration.

    random basis ─► ┌ image = matrix · basis           ┐
                    └ basis = Q of matrixᵀ · image     ┘  8 times ─► rotated to the vectors

The number of products is fixed, and so is the time: where singular values hardly fall, an
iteration to convergence takes very long, and any basis of the subspace is as good. Products
are made in blocks of rows, so that the number of threads changes no bit.

Source:
    Halko, Martinsson and Tropp, "Finding Structure with Randomness", SIAM Review 2011,
    algorithm 4.4 (subspace iteration) and section 5.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from batch.arrays import Doubles
from batch.threads import usable

_N_FURTHER: Final = 16  # vectors of the subspace beyond those that are kept
_N_ITERATIONS: Final = 8
_BLOCK_ROWS: Final = 8192  # multiplied at a time


def leading_vectors(
    matrix: sp.csr_matrix, n_vectors: int, seed: int, n_threads: int = 0
) -> Doubles:
    """Return (n_columns, n) the leading right singular vectors, the largest value first.

    Args:
        matrix: (n_rows, n_columns), in double precision.
        n_vectors: Number of vectors; fewer where the matrix has no more.
        seed: Random seed of the first subspace.
        n_threads: Number of threads; 0 means one for each usable processor.
    """
    n_vectors = max(min(n_vectors, *matrix.shape), 1)
    width = min(n_vectors + _N_FURTHER, *matrix.shape)
    random = np.random.default_rng(seed)
    transposed = matrix.T.tocsr()
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(usable(n_threads)) as pool:
        basis = np.linalg.qr(random.standard_normal((matrix.shape[1], width)))[0]
        for _ in range(_N_ITERATIONS):
            basis = np.linalg.qr(_product(transposed, _product(matrix, basis, pool), pool))[0]
        image = _product(matrix, basis, pool)
        _, rotation = np.linalg.eigh(image.T @ image)
        vectors = basis @ rotation[:, ::-1][:, :n_vectors]
    return np.asarray(vectors)


def _product(matrix: sp.csr_matrix, dense: Doubles, pool: ThreadPoolExecutor) -> Doubles:
    """Return (n_rows, width) the product of a matrix and (n_columns, width) vectors."""
    product = np.empty((matrix.shape[0], dense.shape[1]))

    def fill(first: int) -> None:
        block = slice(first, first + _BLOCK_ROWS)
        product[block] = matrix[block] @ dense

    list(pool.map(fill, range(0, len(product), _BLOCK_ROWS)))
    return product
