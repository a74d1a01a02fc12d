"""The last look at the experiment that runs, as gauges for Prometheus.

    python -m stream experiment check ─► look in var/online/experiments ─► gauges

A gauge is what a look kept, and nothing is computed here: between two looks it stays as it is.
Without an experiment, and before its first look, there is none.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge

from store.experiment import Experiment, read_experiment
from stream.experiments.looks import kept_looks

_PREFIX: Final = "marquee_online_experiment_"
_ENDS: Final = ("low", "high")


class ExperimentGauges:
    """Gauges of the last look.

    Args:
        registry: Registry that they are added to.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, about: str, *labels: str) -> Gauge:
            return Gauge(_PREFIX + name, about, ["experiment", *labels], registry=registry)

        self._elapsed = gauge("elapsed", "Share of the planned duration")
        self._ratio = gauge("sample_ratio_p", "p value of the users of the arms by the shares")
        self._users = gauge("users", "Users with requests", "arm")
        self._wrong = gauge("contaminated_share", "Users with another arm's lists", "arm")
        self._rate = gauge("rate", "Metric that decides", "arm", "metric")
        self._lift = gauge("lift", "Lift over the control", "arm", "metric")
        self._lift_end = gauge("lift_interval", "Ends of its interval", "arm", "metric", "end")
        self._net = gauge("preference", "Net share of users who prefer the treatment")
        self._net_end = gauge("preference_interval", "Ends of its interval", "end")
        self._margin = gauge("guardrail_margin", "Largest loss allowed", "arm", "metric")
        self._gain = gauge("guardrail_gain", "Gain of its metric", "arm", "metric")
        self._gain_end = gauge("guardrail_interval", "Bounds of the gain", "arm", "metric", "end")
        self._all: Sequence[Gauge] = [one for one in vars(self).values() if isinstance(one, Gauge)]

    def update(self, store: Path, online: Path) -> None:
        """Set the gauges from the last look at the experiment that runs, or remove them.

        Args:
            store: Directory of the store.
            online: Directory of the hours and looks.

        Raises:
            StoreError: The file of the experiment is damaged.
            StreamError: The looks are damaged.
        """
        for gauge in self._all:
            gauge.clear()
        experiment = read_experiment(store)
        looks = kept_looks(online, experiment) if experiment else []
        if experiment and looks:
            self._set(experiment, looks[-1].figures)

    def _set(self, experiment: Experiment, figures: Mapping[str, Any]) -> None:
        name, metric = experiment.name, experiment.metric
        _put(self._elapsed, (name,), figures["elapsed"])
        _put(self._ratio, (name,), figures["sample_ratio"]["p_value"])
        for arm in figures["arms"]:
            _put(self._users, (name, arm["name"]), arm["n_users"])
            _put(self._wrong, (name, arm["name"]), arm["contaminated_share"])
            _put(self._rate, (name, arm["name"], metric), arm["rate"])
        for one in figures["comparisons"]:
            labels = (name, one["arm"], metric)
            _put(self._lift, labels, one["lift"])
            _put_ends(self._lift_end, labels, one)
        if preference := figures["preference"]:
            _put(self._net, (name,), preference["net_share"])
            _put_ends(self._net_end, (name,), preference)
        for one in figures["guardrails"]:
            labels = (name, one["arm"], one["metric"])
            _put(self._margin, labels, one["margin"])
            _put(self._gain, labels, one["gain"])
            _put_ends(self._gain_end, labels, one)


def _put(gauge: Gauge, labels: Sequence[str], value: float | None) -> None:
    if value is not None:  # of too few users there is none
        gauge.labels(*labels).set(value)


def _put_ends(gauge: Gauge, labels: Sequence[str], of: Mapping[str, float | None]) -> None:
    for end in _ENDS:
        _put(gauge, (*labels, end), of[end])
