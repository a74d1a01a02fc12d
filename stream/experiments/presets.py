"""Presets of `start`: designs for questions that come up again and again.

licence-cost    lists that weigh licence costs: cheaper, while ratings hold
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from store.errors import ExperimentError
from store.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset.

    Attributes:
        metric: Metric that decides.
        guardrails: Largest allowed loss by metric.
        setting: Setting, `section.key`, that an arm beside the control must be built with.
        example: Value of the setting in the message to a user who has built no such arm.
    """

    metric: str
    guardrails: Mapping[str, float]
    setting: str
    example: Any

    def check(self, experiment: Experiment) -> None:
        """Refuse an experiment whose arms are not about the question.

        Raises:
            ExperimentError: An arm beside the control was built without the setting.
        """
        for arm in experiment.arms[1:]:
            if self.setting not in arm.settings:
                build = f"python -m batch refresh --arm {arm.name} --set"
                remedy = f"build one: `{build} {self.setting}={self.example}`"
                problem = f"generation {arm.generation} was built without {self.setting}"
                raise ExperimentError(f"arm {arm.name}", problem, remedy)


PRESETS: Final = {
    "licence-cost": Preset(
        "cost", {"rating": 0.1, "click_through": 0.02}, "rules.cost_weight", 0.2
    ),
}  # fmt: skip
