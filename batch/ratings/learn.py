"""The rating model of a refresh: trained on all ratings, and measured on a held-out tenth."""

from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits

from batch.interactions.build import Ratings
from batch.ratings.measure import measure_ratings
from batch.ratings.model import RatingModel
from batch.ratings.train import RatingOptions, train_ratings


def learn_ratings(
    ratings: Ratings, n_users: int, n_items: int, *, n_factors: int, seed: int, n_threads: int = 0
) -> tuple[RatingModel | None, dict[str, float]]:
    """Return the model of `train_ratings` and the metrics of `measure_ratings`.

    Either leaves processors idle now and then, so both run at once, with the same results.
    """
    options = RatingOptions(n_factors=n_factors, seed=seed, n_threads=n_threads)
    # BLAS has one thread until both have ended: more would sum in another order
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(1) as pool:
        measured = pool.submit(measure_ratings, ratings, n_users, n_items, options)
        model = train_ratings(ratings, n_users, n_items, options)
        return model, measured.result()
