"""Presets of `start`: designs for questions that come up again and again.

cold-start      new users' lists by likes and dislikes, against those of their segments
licence-cost    lists that weigh licence costs: cheaper, while ratings hold
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from store.errors import ExperimentError
from store.experiment import EVERYONE, NEW_USERS, Experiment


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset.

    Attributes:
        metric: Metric that decides.
        guardrails: Largest allowed loss by metric.
        setting: Setting, `section.key`, that an arm beside the control must be built with.
        example: Value of the setting in the message to a user who has built no such arm.
        population: Users whose figures count, one of `store.experiment.POPULATIONS`.
    """

    metric: str
    guardrails: Mapping[str, float]
    setting: str
    example: Any
    population: str = EVERYONE

    def check(self, experiment: Experiment) -> None:
        """Refuse an experiment whose arms are not about the question.

        Raises:
            ExperimentError: An arm beside the control was built without the setting.
        """
        for arm in experiment.arms[1:]:
            if self.setting not in arm.settings:
                build = f"python -m batch refresh --arm {arm.name} --set"
                remedy = f"build one: `{build} {self.setting}={json.dumps(self.example)}`"
                problem = f"generation {arm.generation} was built without {self.setting}"
                raise ExperimentError(f"arm {arm.name}", problem, remedy)


PRESETS: Final = {
    "cold-start": Preset(
        "click_through", {"availability": 0.01}, "batch.preference_lists", False, NEW_USERS
    ),
    "licence-cost": Preset(
        "cost", {"rating": 0.1, "click_through": 0.02}, "rules.cost_weight", 0.2
    ),
}  # fmt: skip
