"""Search the same factors for every user's top k, Marquee and its peers, in one run.

Each search uses all cores. The searches alternate in every round, because the machine
is shared. Each figure is the median of the rounds, each ratio the median of the rounds'
ratios. Marquee searches for all users; the peers, whose rate does not depend on the
number of users, for at most 20,000. Marquee's lists of these are compared with those of
`implicit`, exact ties aside. "Of peak" is the share of the processor's matrix-product
rate that computing every score would take; a search that skips scores may exceed 1.
"""

import argparse
import importlib.metadata
import importlib.util
import statistics
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np

from benchmarks.harness.arguments import make_parser, positive_int, some_of
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.topk.factors import REAL, SCENARIO, SEED, Size, Trained, interactions, train
from benchmarks.topk.searches import SEARCHES, differences

_FACTORS: Final = (64, 128, 256, 512)
_K: Final = (20, 100)
_MAX_COMPARED_USERS: Final = 20_000  # for the comparison, and for timing the peers
_QUICK_COMPARED_USERS: Final = 5_000
_QUICK_SWEEPS: Final = 2
_QUICK_SIZE: Final = Size(100_000, 27_000, 2_000_000)
_SIZE: Final = Size(1_000_000, 27_000, 50_000_000)
_HEADER: Final = ("data", "factors", "k", "search", "users/s", "marquee by", "of peak", "differ")
_EXAMPLE: Final = """example:
  python -m benchmarks.topk > topk.jsonl
  python -m benchmarks.topk --quick --sets ml-100k

faiss is included if it is installed: pip install faiss-cpu
"""

Rates = Mapping[str, Sequence[float]]  # users per second of each round, by search


def main(
    arguments: Sequence[str] | None = None,
    *,
    size: Size | None = None,
    peak: float | None = None,
    searches: Collection[str] = tuple(SEARCHES),
) -> int:
    """Run the benchmark and return its exit status: 0 measured, 1 lists differ.

    Args:
        arguments: Command line; default: that of the process.
        size: Size of the generated scenario; default: by the options.
        peak: Floating-point operations per second of the machine; default: measured.
        searches: Names of the searches to compare.
    """
    args = _parser().parse_args(arguments)
    size = size or (_QUICK_SIZE if args.quick else _SIZE)
    names = [name for name in searches if name != "faiss" or _has_faiss()]
    if "faiss" not in names:
        print("faiss SKIPPED: not installed", file=sys.stderr)
    peak = peak or _peak_flops()
    print(f"matrix products: {peak / 1e9:.0f} GFLOP/s", file=sys.stderr)
    rows, n_wrong = [], 0
    for name in args.sets:
        seen = interactions(name, size)
        if seen is None:
            print(f"{name} SKIPPED: data not found; set MARQUEE_SHARED_DATA", file=sys.stderr)
            continue
        for n_factors in args.factors or (_FACTORS[:1] if args.quick else _FACTORS):
            trained = train(name, seen, n_factors, *(_QUICK_SWEEPS,) * args.quick)
            part = _sample(trained, _QUICK_COMPARED_USERS if args.quick else _MAX_COMPARED_USERS)
            for k in args.k or (_K[:1] if args.quick else _K):
                print(f"{name}, {n_factors} factors, k = {k}", file=sys.stderr)
                rates = _rates(names, trained, part, k, args.rounds)
                n_differing = _n_differing(part, k)
                n_wrong += n_differing
                _print_figures(trained, k, rates, peak, n_differing)
                rows += [_row(trained, k, rates, search, peak, n_differing) for search in rates]
    print_table(_HEADER, rows)
    return 1 if n_wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("topk", __doc__, _EXAMPLE)
    sets = (*REAL, SCENARIO)
    parser.add_argument(
        "--sets", type=some_of(sets, "data set"), default=sets, metavar="A,B",
        help=f"default: {','.join(sets)}",
    )  # fmt: skip
    for option, values in (("--factors", _FACTORS), ("--k", _K)):
        listed = ",".join(map(str, values))
        parser.add_argument(
            option, type=_positive_ints, metavar="A,B",
            help=f"default: {listed}; with --quick {values[0]}",
        )  # fmt: skip
    parser.add_argument("--rounds", type=positive_int, default=3, metavar="N", help="default: 3")
    parser.add_argument(
        "--quick", action="store_true", help="fewer sweeps of ALS, a tenth of the users"
    )
    return parser


def _positive_ints(text: str) -> tuple[int, ...]:
    return tuple(positive_int(part) for part in text.split(","))


def _rates(names: Sequence[str], trained: Trained, part: Trained, k: int, n_rounds: int) -> Rates:
    """Time every search in alternation."""
    rates: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(n_rounds):
        for name in names:
            searched = trained if name == "marquee" else part
            began = time.perf_counter()
            SEARCHES[name](searched, k)
            seconds = time.perf_counter() - began
            rates[name].append(len(searched.user_factors) / seconds)
    return rates


def _n_differing(part: Trained, k: int) -> int:
    return differences(part, SEARCHES["marquee"](part, k), SEARCHES["implicit"](part, k))


def _print_figures(trained: Trained, k: int, rates: Rates, peak: float, n_differing: int) -> None:
    """Print a figure of Marquee against each peer, and a figure of each peer."""
    n_items, n_factors = trained.item_factors.shape
    inputs = {
        "data": trained.name,
        "users": len(trained.user_factors),
        "items": n_items,
        "factors": n_factors,
        "k": k,
        "seed": SEED,
    }
    for search in rates:
        rate = round(statistics.median(rates[search]))
        share = round(_share(trained, rates[search], peak), 3)
        details = {"peak_share": share, "version": _version(search), **inputs}
        if search != "marquee":
            print_figure("topk", "users_per_second", rate, "1/s", subject=search, **details)
            continue
        for peer in [peer for peer in rates if peer != "marquee"]:
            compared: dict[str, Any] = {"peer": peer, "ratio": round(_ratio(rates, peer), 2)}
            if peer == "implicit":
                compared["differing"] = n_differing
            print_figure(
                "topk", "users_per_second", rate, "1/s", subject=search, **compared, **details
            )


def _row(
    trained: Trained, k: int, rates: Rates, search: str, peak: float, n_differing: int
) -> tuple[str, ...]:
    """Return the row of one search."""
    return (
        *(trained.name, str(trained.item_factors.shape[1]), str(k), search),
        f"{statistics.median(rates[search]):,.0f}",
        "" if search == "marquee" else f"{_ratio(rates, search):.2f}",
        f"{_share(trained, rates[search], peak):.2f}",
        str(n_differing) if search == "implicit" else "",
    )


def _ratio(rates: Rates, peer: str) -> float:
    rounds = zip(rates["marquee"], rates[peer], strict=True)
    return statistics.median(marquee / other for marquee, other in rounds)


def _share(trained: Trained, rates: Sequence[float], peak: float) -> float:
    n_items, n_factors = trained.item_factors.shape
    flops: float = statistics.median(rates) * 2 * n_items * n_factors
    return flops / peak


def _version(search: str) -> str:
    return importlib.metadata.version(
        {"marquee": "numpy", "faiss": "faiss-cpu"}.get(search, search)
    )


def _has_faiss() -> bool:
    return importlib.util.find_spec("faiss") is not None


def _sample(trained: Trained, max_users: int) -> Trained:
    """Return a random sample of the users."""
    n_users = len(trained.user_factors)
    chosen = np.sort(np.random.default_rng(SEED).permutation(n_users)[:max_users])
    return Trained(
        trained.name, trained.user_factors[chosen], trained.item_factors, trained.seen[chosen]
    )


def _peak_flops() -> float:
    """Return the floating-point operations per second of large matrix products, on all cores."""
    n, best = 4096, 0.0
    rng = np.random.default_rng(SEED)
    left, right = (rng.standard_normal((n, n), dtype=np.float32) for _ in range(2))
    for _ in range(4):
        began = time.perf_counter()
        left @ right
        best = max(best, 2 * n**3 / (time.perf_counter() - began))
    return best


if __name__ == "__main__":
    sys.exit(main())
