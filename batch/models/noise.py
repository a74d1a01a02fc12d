"""How large chance alone is in a matrix: the measure of regularization.

A matrix that says nothing still has singular values, the largest about

    √(interactions of a user) + √(interactions of an item)

and factors that follow anything smaller learn noise. So regularization is counted in
multiples of it: 1 fits 60 users as it fits a million, and what was tuned on a sample
of users fits all of them. (`implicit` counts from 0: 2 was far too little for a
million ratings, and 20 left 60 users without any taste.)

Source:
    Bai and Yin, "Limit of the smallest eigenvalue of a large dimensional sample
    covariance matrix", Annals of Probability 1993: √v (√n_users + √n_items) for entries
    of variance v, which here is the share of places that are filled.
"""

import scipy.sparse as sp


def noise_singular_value(weights: sp.csr_matrix) -> float:
    """Return the largest singular value of as many ones, strewn by chance; at least 1.

    Args:
        weights: (n_users, n_items); empty rows and columns count as well.
    """
    n_users, n_items = weights.shape
    n_met = weights.nnz
    return max(float((n_met / max(n_users, 1)) ** 0.5 + (n_met / max(n_items, 1)) ** 0.5), 1.0)
