"""Experiments on simulated users: false alarms, power beside the plan, interleaving, logs.

python -m benchmarks.experiments
python -m benchmarks.experiments --quick

A/A experiments and planted lifts of 5 and 10 % are looked at every day for 28 days; users
arrive over time, and have click rates and activity of their own. The plan is made from
earlier traffic of the same service.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from benchmarks.experiments.ab import RULES, SAMPLE_RATIO, Share, significant_shares
from benchmarks.experiments.from_logs import CASCADE, ESTIMATORS, coverage, make_logged
from benchmarks.experiments.interleaving import LIFT, Need, needs, visit
from benchmarks.experiments.service import N_DAYS, past_traffic
from benchmarks.harness.arguments import make_parser
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from stream.experiments.plan import ALWAYS_VALID, Goal, plan

_SEED: Final = 42
_SUBJECTS: Final = {ALWAYS_VALID: "marquee"}  # the rule that may be looked at always
_N_LOGGED_ITEMS: Final = 1000
_AIM: Final = 0.999  # power of the plan: not reached in 28 days, so it gives that of all days


class _Size(NamedTuple):
    """Size of a run.

    Attributes:
        n_experiments: Number of experiments of each kind.
        n_periods: Number of periods before, from which the plan is made.
        n_users: Users of the service of the A/A experiments.
        planted: Users of the service and planted lift, of each kind.
        n_visitors: Users of the pool for interleaving.
        n_items: Items of its world.
        n_repeats: Number of repeated tests that measure a power.
        n_logged: Users of the service whose logs are used.
        n_runs: Number of estimates from logs.
    """

    n_experiments: int
    n_periods: int
    n_users: int
    planted: tuple[tuple[int, float], ...]
    n_visitors: int
    n_items: int
    n_repeats: int
    n_logged: int
    n_runs: int


_FULL: Final = _Size(
    2000, 400, 4000, ((4000, 0.05), (4000, 0.1), (9000, 0.1)), 20_000, 2000, 2000, 5000, 500
)
_QUICK: Final = _Size(400, 200, 2000, ((2000, 0.05), (2000, 0.1)), 5000, 1000, 500, 4000, 40)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate the experiments, then print tables and figures."""
    parser = make_parser("experiments", __doc__)
    parser.add_argument("--quick", action="store_true", help="fewer experiments of fewer users")
    size = _QUICK if parser.parse_args(arguments).quick else _FULL
    rows = [_false_alarms(size)]
    rows += [_planted(size, *kind, seed=_SEED + i) for i, kind in enumerate(size.planted, 1)]
    print_table(("users", "lift", *RULES, SAMPLE_RATIO), rows)
    _interleaving(size)
    _from_logs(size)
    return 0


def _false_alarms(size: _Size) -> list[str]:
    n_planned = round(float(past_traffic(size.n_users, size.n_periods, _SEED).n_users[-1]))
    found = significant_shares(size.n_experiments, size.n_users, n_planned, 0.0, _SEED)
    inputs = {"n_experiments": size.n_experiments, "n_users": size.n_users}
    for name in RULES:
        _print_share("false_positive_share", found[name], _SUBJECTS.get(name, name), inputs)
    _print_share("srm_alarm_share", found[SAMPLE_RATIO], "marquee", inputs)
    return _row(size.n_users, 0.0, found, {})


def _planted(size: _Size, n_users: int, lift: float, seed: int) -> list[str]:
    traffic = past_traffic(n_users, size.n_periods, _SEED)
    designs = plan(Goal(lift, power=_AIM), traffic).designs
    promised = {name: design.power for name, design in designs.items()}
    n_planned = round(float(traffic.n_users[-1]))
    found = significant_shares(size.n_experiments, n_users, n_planned, lift, seed)
    inputs = {"n_experiments": size.n_experiments, "n_users": n_users, "lift": lift}
    for name, power in promised.items():
        subject = _SUBJECTS.get(name, name)
        _print_share("power", found[name], subject, inputs | {"promised": power})
    return _row(n_users, lift, found, promised)


def _print_share(metric: str, share: Share, subject: str, inputs: Mapping[str, float]) -> None:
    print_figure(
        "experiments", metric, share.value, "1", subject=subject, low=share.low, high=share.high,
        n_days=N_DAYS, seed=_SEED, **inputs,
    )  # fmt: skip


def _row(
    n_users: int, lift: float, found: Mapping[str, Share], promised: Mapping[str, float]
) -> list[str]:
    cells = [f"{n_users:,}", f"{lift:.0%}"]
    for name in (*RULES, SAMPLE_RATIO):
        share = found[name]
        cell = f"{share.value:.2%} ({share.low:.1%}, {share.high:.1%})"
        cells.append(f"{cell}, planned {promised[name]:.1%}" if name in promised else cell)
    return cells


def _interleaving(size: _Size) -> None:
    visits = visit(size.n_visitors, size.n_items, _SEED)
    ab, interleaved = needs(visits, size.n_repeats, _SEED)
    gain = ab.n_users / interleaved.n_users
    print_figure(
        "experiments", "interleaving_gain", gain, "1", subject="marquee", peer="A/B test",
        lift=visits.lift, n_users=interleaved.n_users, n_users_ab=ab.n_users,
        n_pool=size.n_visitors, n_items=size.n_items, seed=_SEED,
    )  # fmt: skip
    tests: tuple[tuple[str, Need], ...] = (("A/B test", ab), ("interleaving", interleaved))
    rows = [[name, f"{need.n_users:,}", f"{need.power.value:.1%}"] for name, need in tests]
    print_table((f"to find a lift of {LIFT:.0%}", "users", "power"), rows)


def _from_logs(size: _Size) -> None:
    found = coverage(make_logged(size.n_logged, _N_LOGGED_ITEMS, _SEED), size.n_runs, _SEED)
    inputs = {"n_users": size.n_logged, "n_runs": size.n_runs, "truth": found.truth}
    rows = []
    for name in ESTIMATORS:
        share = found.coverage[name]
        subject = "marquee" if name == CASCADE else name
        _print_share("log_estimate_coverage", share, subject, inputs)
        rows.append([name, f"{found.means[name]:.2%}", f"{share.value:.1%}"])
    print_table(
        (f"estimate of {found.truth:.2%} from {found.old_truth:.2%}", "mean", "coverage"), rows
    )
    effective = f"{found.effective_share:.0%}"
    print(f"effective users of the cascade weights: {effective}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
