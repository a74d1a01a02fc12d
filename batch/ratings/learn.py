"""A refresh's rating model: trained on all ratings, and measured on some that it has not seen."""

from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits

from batch.interactions.build import Ratings
from batch.ratings.measure import measure_ratings
from batch.ratings.model import RatingModel
from batch.ratings.train import train_ratings


def learn_ratings(
    ratings: Ratings, n_users: int, n_items: int, *, n_factors: int, seed: int, n_threads: int = 0
) -> tuple[RatingModel | None, dict[str, float]]:
    """Return the model as `train_ratings` has it, and its figures as `measure_ratings` does.

    Each waits for itself now and then, so both go on at once, with the same results.
    """
    # BLAS has one thread until both have ended: more would sum in another order
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(1) as pool:
        measured = pool.submit(
            measure_ratings,
            ratings,
            n_users,
            n_items,
            n_factors=n_factors,
            seed=seed,
            n_threads=n_threads,
        )
        model = train_ratings(
            ratings, n_users, n_items, n_factors=n_factors, seed=seed, n_threads=n_threads
        )
        return model, measured.result()
