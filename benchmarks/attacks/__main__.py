"""Planted attacks and honest viral items, with and without `[trust]`; what trust costs.

python -m benchmarks.attacks --data FOLDER
python -m benchmarks.attacks --quick

An attack's `share_of_lists_after` is the share of all lists that hold its target in the next
night; that of `marquee` is the worst of all attacks. An honest item counts as excluded if it
weighs half, or if its lists are fewer than half of those without trust.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.attacks.cost import accuracy, stage_time
from benchmarks.attacks.nights import OFF, ON, make_lists
from benchmarks.attacks.planted import ATTACKS, VIRAL, attacked, target_of, viral
from benchmarks.attacks.service import Service, simulated_service
from benchmarks.harness.arguments import add_data, make_parser, positive_int
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table

_SEED: Final = 7
_SHARES: Final = (0.001, 0.005, 0.01, 0.03, 0.05)
_MODELS: Final = ("ials", "item_knn", "recent_popularity")
_N_ITEMS: Final = 1_000
_DAY: Final = 86_400
_DRIP_NIGHTS: Final = 14
_N_VIRAL: Final = 100
_VIRAL_AT_ONCE: Final = 5  # so that a day is not made of viral items
_RANKS: Final = (0.03, 0.6)  # of the items that become viral, as shares of the catalogue
_MIN_LISTS_SHARE: Final = 0.002  # of an honest item; of fewer nothing follows


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant attacks and honest items, and measure the cost."""
    parser = make_parser("attacks", __doc__)
    add_data(parser)
    parser.add_argument(
        "--quick", action="store_true", help="fewer attacks, on 2,000 users; honest items as always"
    )
    parser.add_argument("--users", type=positive_int, default=5_000, metavar="N")
    parser.add_argument("--stage-users", type=positive_int, default=100_000, metavar="N")
    args = parser.parse_args(arguments)
    n_users, n_items = (2_000, 400) if args.quick else (args.users, _N_ITEMS)
    shares = (0.001, 0.01, 0.05) if args.quick else _SHARES
    models = _MODELS[:2] if args.quick else _MODELS
    service = _service(n_users, n_items)
    _attacks(service, shares, models)
    _honest(_service(args.users, _N_ITEMS) if args.quick else service, models[0])
    if not args.quick:
        accuracy(service, args.data, models[:2])
        stage_time(args.stage_users, 27_000)
    return 0


def _service(n_users: int, n_items: int) -> Service:
    with tempfile.TemporaryDirectory() as folder:
        return simulated_service(Path(folder) / "history", n_users, n_items, 60, _SEED)


def _attacks(service: Service, shares: Sequence[float], models: Sequence[str]) -> None:
    """Print the share of lists of the target, by kind, size and model, and the worst of all."""
    target, rows, worst = target_of(service), [], 0.0
    for model in models:
        clean = make_lists(service.before(service.until - _DAY), OFF, model)
        for kind in ATTACKS:
            cells = []
            for share in shares:
                random = np.random.default_rng(_SEED)
                whole = attacked(service, kind, share, target, random)
                before = make_lists(whole, OFF, model).share_of(target)
                after = _share_after(whole, kind, target, model, clean.counts())
                subject = f"{kind}, {100 * share:g} %, {model}"
                for metric, value in (("before", before), ("after", after)):
                    print_figure(
                        "attacks", f"share_of_lists_{metric}", round(value, 5), "1",
                        subject=subject, n_users=service.n_users, seed=_SEED,
                    )  # fmt: skip
                worst = max(worst, after)
                cells.append(f"{100 * before:.2f} → {100 * after:.2f}")
            rows.append((model, kind, f"{100 * clean.share_of(target):.2f}", *cells))
    sizes = (f"{100 * share:g} % accounts" for share in shares)
    print("\nshare of the lists with the target, %: without → with trust\n", file=sys.stderr)
    print_table(("model", "attack", "night before", *sizes), rows)
    print_figure(
        "attacks", "share_of_lists_after", round(worst, 5), "1", subject="marquee",
        n_users=service.n_users, seed=_SEED,
    )  # fmt: skip


def _share_after(
    whole: Service, kind: str, target: int, model: str, served: dict[str, int]
) -> float:
    """Return the share of lists with the target after the last night, with trust.

    A drip takes as many nights as it lasts, each of which begins with the lists of the one before.
    """
    n_nights = _DRIP_NIGHTS if kind == "drip" else 1
    share = 0.0
    for night in range(n_nights):
        until = whole.until - (n_nights - 1 - night) * _DAY
        made = make_lists(whole.before(until), ON, model, served)
        served, share = made.counts(), made.share_of(target)
    return share


def _honest(service: Service, model: str) -> None:
    """Print the number of honest viral items that are excluded, by kind."""
    random = np.random.default_rng(_SEED)
    ranking = np.argsort(-service.popularity(), kind="stable")
    first, last = (int(share * service.n_items) for share in _RANKS)
    served = make_lists(service.before(service.until - _DAY), OFF, model).counts()
    excluded = dict.fromkeys(VIRAL, 0)
    planted = dict.fromkeys(VIRAL, 0)
    for begin in range(0, _N_VIRAL, _VIRAL_AT_ONCE):
        busy, items = service, dict[int, str]()
        for number in range(begin, begin + _VIRAL_AT_ONCE):
            left = np.setdiff1d(ranking[first:last], list(items))
            item, kind = int(random.choice(left)), VIRAL[number % len(VIRAL)]
            busy, items[item] = viral(busy, kind, item, random), kind
        without, guarded = make_lists(busy, OFF, model), make_lists(busy, ON, model, served)
        for item, kind in items.items():
            planted[kind] += 1
            lost = guarded.share_of(item) < without.share_of(item) / 2
            is_listed = without.share_of(item) > _MIN_LISTS_SHARE
            excluded[kind] += item in guarded.in_doubt or (lost and is_listed)
    rows = [(kind, str(planted[kind]), str(excluded[kind])) for kind in VIRAL]
    print(file=sys.stderr)
    print_table(("honest", "items", "excluded"), rows)
    print_figure(
        "attacks", "honest_excluded", sum(excluded.values()), "1", subject="marquee",
        n_items=sum(planted.values()), n_users=service.n_users, seed=_SEED,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
