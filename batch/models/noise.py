"""The largest singular value of pure noise, which is the unit of regularization.

A matrix of random entries has singular values too, the largest of about

    √(interactions of a user) + √(interactions of an item)

and factors that fit anything smaller fit noise. Regularization is therefore set in
multiples of it: 1 suits 60 users as well as a million, and a value that was tuned on a
sample of users suits all of them. (As a plain number, 2 was far too small for a million
ratings, and 20 shrank the factors of 60 users to almost nothing.)

Source:
    Bai and Yin, "Limit of the smallest eigenvalue of a large dimensional sample
    covariance matrix", Annals of Probability 1993: √v (√n_users + √n_items) for entries
    of variance v, which here is the share of the matrix that is filled.
"""


def noise_singular_value(n_users: int, n_items: int, n_pairs: int) -> float:
    """Return the largest singular value of as many randomly placed ones; at least 1.

    Args:
        n_users: Rows of the matrix, empty ones as well.
        n_items: Columns of the matrix, empty ones as well.
        n_pairs: Number of ones.
    """
    return max(float((n_pairs / max(n_users, 1)) ** 0.5 + (n_pairs / max(n_items, 1)) ** 0.5), 1.0)
