"""Figures by user and arm: what the analysis of an experiment takes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from batch.arrays import Codes, Doubles
from stream.online.figures import COLUMNS, summed_columns

ArmOfUser = Callable[[Sequence[bytes]], Codes]


@dataclass(frozen=True, slots=True)
class UserFigures:
    """Sums of a span of time, one row a user with requests.

    Attributes:
        user_ids: (n_users,) ids, ascending.
        arm: (n_users,) numbers of arms.
        n_requests: (n_users,) well-formed requests.
        n_available: (n_users,) requests answered by the rules of the graders.
        n_personal: (n_users,) available answers that were made for their user.
        n_shown: (n_users,) items shown.
        n_clicks: (n_users,) requests with a view from the list.
        reciprocal_rank: (n_users,) sum of 1 / rank of the first view from each list.
        n_views: (n_users,) views from lists.
        minutes: (n_users,) minutes of these.
        n_timed, watched_share: (n_users,) views of known runtime, sum of their shares of it.
        n_ratings, rating: (n_users,) ratings after a view from a list, and their sum.
        n_priced, cost: (n_users,) views of known cost, and their sum in USD.
        n_other_views: (n_users,) other views.
        n_control_clicks, n_treatment_clicks: (n_users,) views of items that one side drafted,
            from interleaved lists.
        milliseconds: (n_users,) sum of the times of all answers.
    """

    user_ids: Sequence[bytes]
    arm: Codes
    n_requests: Doubles
    n_available: Doubles
    n_personal: Doubles
    n_shown: Doubles
    n_clicks: Doubles
    reciprocal_rank: Doubles
    n_views: Doubles
    minutes: Doubles
    n_timed: Doubles
    watched_share: Doubles
    n_ratings: Doubles
    rating: Doubles
    n_priced: Doubles
    cost: Doubles
    n_other_views: Doubles
    n_control_clicks: Doubles
    n_treatment_clicks: Doubles
    milliseconds: Doubles


def user_figures(tables: Iterable[pa.Table], arm_of_user: ArmOfUser) -> UserFigures:
    """Return the figures of each user.

    Args:
        tables: Tables of `stream.online.hours.HOUR`, each user in any number of them.
        arm_of_user: Function from the ids of users to the numbers of their arms.
    """
    sums = user_sums(tables)
    user_ids = [user.encode() for user in sums["user_id"].to_pylist()]
    columns = {name: sums[name].to_numpy() for name in COLUMNS}
    return UserFigures(user_ids, arm_of_user(user_ids), **columns)


def user_sums(tables: Iterable[pa.Table]) -> pa.Table:
    """Return `user_id` and the sum of each of COLUMNS, one row a user, ascending.

    Args:
        tables: Tables of `stream.online.hours.HOUR`.
    """
    total = _no_sums()
    for rows in tables:
        sums = {name: pa.array(column) for name, column in summed_columns(rows).items()}
        total = _summed([total, pa.table({"user_id": rows["user_id"].cast(pa.string()), **sums})])
    return total.sort_by("user_id")


def _summed(tables: Sequence[pa.Table]) -> pa.Table:
    names = ["user_id", *COLUMNS]
    joined = pa.concat_tables(table.select(names) for table in tables)
    sums = joined.group_by("user_id").aggregate([(name, "sum") for name in COLUMNS])
    return sums.rename_columns([name.removesuffix("_sum") for name in sums.column_names])


def _no_sums() -> pa.Table:
    columns = {name: pa.array(np.zeros(0)) for name in COLUMNS}
    return pa.table({"user_id": pa.array([], pa.string()), **columns})
