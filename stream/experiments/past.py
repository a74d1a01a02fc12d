"""Traffic of the last days, from the hours that `stream.online` keeps.

    whole days until the newest click ─► sums of each user and day ─► `traffic.measured`

Of new users, those count who had no view or rating before the first of these days: as many
days of an experiment have users like them.
"""

import numpy as np
import pyarrow.compute as pc

from stream.experiments.population import of_population
from stream.experiments.traffic import ExperimentTraffic, measured
from stream.online.events import DAY_SECONDS
from stream.online.figures import OnlineMetric
from stream.online.hours import HOUR_SECONDS
from stream.online.inputs import OnlineInputs
from stream.online.users import user_sums


def traffic_of_past(
    inputs: OnlineInputs, metric: OnlineMetric, population: str, n_days: int
) -> ExperimentTraffic:
    """Update the hours, and return the traffic of the last days.

    Args:
        inputs: Store, events and hours.
        metric: Metric that decides.
        population: Users who count, one of `store.experiment.POPULATIONS`.
        n_days: Number of days; those before the first request are left out.

    Raises:
        StreamError: There are no events, or the hours are damaged.
        InputError: There are no requests of such users, or a file of events is damaged.
    """
    hours, newest = inputs.updated()
    until = newest + 1 - int(inputs.settings.click_hours * HOUR_SECONDS)
    first = until - n_days * DAY_SECONDS
    counted = of_population(population, inputs.events, first)
    codes: dict[str, int] = {}
    rows = []
    for day, begin in enumerate(range(first, until, DAY_SECONDS)):
        sums = user_sums(counted(hours.tables(begin, begin + DAY_SECONDS)))
        sums = sums.filter(pc.greater(sums[metric.denominator], 0))
        user = [codes.setdefault(user_id, len(codes)) for user_id in sums["user_id"].to_pylist()]
        totals = (sums[name].to_numpy() for name in (metric.numerator, metric.denominator))
        rows.append(np.array([np.full(len(user), day), user, *totals]))
    day, user, numerators, denominators = np.concatenate(rows, axis=1)
    day -= day.min(initial=n_days)
    return measured(day.astype(np.int64), user.astype(np.int64), numerators, denominators)
