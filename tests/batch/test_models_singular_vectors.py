"""Leading singular vectors of sparse matrices, against NumPy's dense decomposition."""

import numpy as np
import pytest
import scipy.sparse as sp

from batch.models.singular_vectors import leading_vectors


def test_leading_vectors_are_those_of_a_dense_decomposition():
    """The same subspace, the same order; fewer where the matrix has no more."""
    rng = np.random.default_rng(0)
    falling = np.diag(0.6 ** np.arange(30)) @ rng.standard_normal((30, 20))
    dense = rng.standard_normal((50, 30)) @ falling
    found = leading_vectors(sp.csr_matrix(dense), 5, seed=1)
    expected = np.linalg.svd(dense)[2][:5].T
    assert np.abs(np.einsum("iv,iv->v", found, expected)) == pytest.approx(np.ones(5), abs=1e-6)
    assert leading_vectors(sp.csr_matrix(dense), 99, seed=1).shape == (20, 20)


def test_the_number_of_threads_changes_no_bit():
    """More rows than a block has."""
    dense = np.random.default_rng(3).random((20_000, 50))
    matrix = sp.csr_matrix(np.where(dense > 0.95, dense, 0))
    one, two = (leading_vectors(matrix, 4, 1, n_threads) for n_threads in (1, 2))
    assert (one == two).all()
