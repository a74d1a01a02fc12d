"""What the users of an experiment did, from the hours that `stream.online` keeps.

    28 days before ─┬─► rate of each user before the start
    until the start ┘
    the start until now ─┬─► sums of each user; the arm by the function of the store
                         └─► users who got another arm's lists

The arm never comes from what a user got: who was served wrongly stays in the arm of their id.
Where only new users count, those with an event before the start are left out of all of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Codes, Rows
from batch.events.ids import codes_of, whole
from store.arms import generations_of_experiments
from store.experiment import Experiment
from store.parse import parse_time
from stream.experiments.population import of_population
from stream.online.events import DAY_SECONDS
from stream.online.hours import HOUR_SECONDS
from stream.online.inputs import OnlineInputs
from stream.online.served_lists import NO_ANSWER, OTHER, PRUNED, ServedLists
from stream.online.users import ArmOfUser, UserFigures, user_figures, user_sums

NEW: Final = -1
_BEFORE_DAYS: Final = 28
_N_PLANNED: Final = 5000  # users who are planned where no hours before the start are kept
_UNKNOWN: Final = (OTHER, PRUNED, NO_ANSWER)  # sources that do not name the generation


@dataclass(frozen=True, slots=True)
class ExperimentUsers:
    """The users of an experiment until now.

    Attributes:
        until: Time of the newest event, seconds since 1970 by the clock of the events.
        elapsed: Share of the planned duration that is over, above 1 after its end.
        n_planned: Users who came in as many days before the start.
        since_start: Sums since the start.
        before: Sums of up to 28 days before the start, of views that ended before it.
        place_before: (n_users,) row in `before` of each user since the start, or NEW.
        n_contaminated: (n_arms,) users with an answer that only another arm's lists explain.
    """

    until: int
    elapsed: float
    n_planned: int
    since_start: UserFigures
    before: UserFigures
    place_before: Rows
    n_contaminated: Rows

    @property
    def until_text(self) -> str:
        """Time of the newest event, ISO 8601."""
        return str(np.datetime64(self.until, "s"))


def observe(inputs: OnlineInputs, experiment: Experiment) -> ExperimentUsers:
    """Update the hours, and return the users of an experiment.

    Raises:
        StreamError: There are no events, or the hours are damaged.
        InputError: A file of events is damaged.
    """
    hours, until = inputs.updated()
    start = int(parse_time(experiment.started_at).timestamp()) + inputs.offset_seconds
    planned_seconds = experiment.planned_days * DAY_SECONDS
    arm_of_user = arms_function(experiment)
    last = start - int(inputs.settings.click_hours * HOUR_SECONDS)
    first = start - int(planned_seconds)
    counted = of_population(experiment.population, inputs.events, start)
    before = user_figures(
        counted(hours.tables(start - _BEFORE_DAYS * DAY_SECONDS, last)), arm_of_user
    )
    since_start = user_figures(counted(hours.tables(start, until + 1)), arm_of_user)
    counted_then = of_population(experiment.population, inputs.events, first)
    planned = user_sums(counted_then(hours.tables(first, start))).num_rows
    with ServedLists(inputs.store) as served:
        contaminated = _contaminated(
            counted(hours.tables(start, until + 1)),
            _arms(inputs, experiment), arm_of_user, served,
        )  # fmt: skip
    return ExperimentUsers(
        until,
        max(until - start, 0) / planned_seconds,
        planned or _N_PLANNED,
        since_start,
        before,
        _places(since_start.user_ids, before.user_ids),
        np.bincount(arm_of_user(sorted(contaminated)), minlength=len(experiment.arms)),
    )


def _places(user_ids: Sequence[bytes], among: Sequence[bytes]) -> Rows:
    rows = {user_id: row for row, user_id in enumerate(among)}
    return np.array([rows.get(user_id, NEW) for user_id in user_ids], np.int64)


def arms_function(experiment: Experiment) -> ArmOfUser:
    """Return the function from the ids of users to the numbers of their arms."""
    arm_of = experiment.arm_function()

    def arm_of_user(user_ids: Sequence[bytes]) -> Codes:
        return np.array([arm_of(user_id) for user_id in user_ids], np.int32)

    return arm_of_user


def _arms(inputs: OnlineInputs, experiment: Experiment) -> Mapping[int, set[int]]:
    """Return the numbers of the arms that had each generation since the start."""
    numbers = {arm.name: number for number, arm in enumerate(experiment.arms)}
    arms: dict[int, set[int]] = {}
    for number, arm in enumerate(experiment.arms):
        arms.setdefault(arm.generation, set()).add(number)
    for generation, names in generations_of_experiments(inputs.store, experiment.name).items():
        if found := {numbers[name] for name in names & numbers.keys()}:
            arms.setdefault(generation, set()).update(found)
    return arms


def _contaminated(
    tables: Iterable[pa.Table],
    arms: Mapping[int, set[int]],
    arm_of_user: ArmOfUser,
    served: ServedLists,
) -> set[bytes]:
    """Return the users who got an answer of another arm's generation, and of none of theirs."""
    found: set[bytes] = set()
    for rows in tables:
        is_known = pc.invert(pc.is_in(rows["source"].cast(pa.string()), pa.array(_UNKNOWN)))
        is_of_arm = pc.is_in(rows["generation"], pa.array(sorted(arms), pa.int64()))
        rows = rows.filter(pc.and_(is_known, is_of_arm))
        ids = whole(rows["user_id"])
        user_ids = [user.encode() for user in ids.dictionary.to_pylist()]
        arm = arm_of_user(user_ids)[codes_of(ids)] if len(rows) else np.zeros(0, np.int32)
        generation = rows["generation"].to_numpy()
        for number in np.unique(generation).tolist():
            is_wrong = (generation == number) & ~np.isin(arm, sorted(arms[number]))
            pairs = zip(codes_of(ids)[is_wrong].tolist(), arm[is_wrong].tolist(), strict=True)
            for user, of_user in set(pairs):
                own = [one for one in arms if of_user in arms[one]]
                if _differs(user_ids[user], number, own, served):
                    found.add(user_ids[user])
    return found


def _differs(user_id: bytes, generation: int, own: Sequence[int], served: ServedLists) -> bool:
    """Return whether the answer of a generation differs from those of others."""
    lists = served.lists(generation)
    if lists is None:
        return False
    others = [found for one in own if (found := served.lists(one))]
    return all(found.answer(user_id) != lists.answer(user_id) for found in others)
