"""Search the same factors for every user's top k, ours and the peers, in one run.

Each search uses all cores. Each figure is the median of the rounds, each ratio the
median of the rounds' ratios. Our lists are compared with those of `implicit`, exact
ties aside. The last column is the share of the processor's own matrix-product rate
that computing every score would have taken: a pruned search may exceed 1.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from benchmarks.report import print_figure, print_table
from benchmarks.topk.factors import REAL, SCENARIO, SEED, Size, Trained, interactions, train
from benchmarks.topk.searches import SEARCHES, differences

_K: Final = (20, 30, 100)
_SAMPLE: Final = 20_000  # users whose lists are compared, and that slow peers are timed on
_EXAMPLE: Final = """example:
  python -m benchmarks.topk > topk.jsonl
  python -m benchmarks.topk --quick --sets ml-100k

faiss takes part where it is installed: pip install faiss-cpu
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and return its exit status: 0 measured, 1 lists differ."""
    given = _parser().parse_args(arguments)
    size = Size(100_000, 27_000, 2_000_000) if given.quick else Size(1_000_000, 27_000, 50_000_000)
    peak = _peak_flops()
    print(f"matrix products: {peak / 1e9:.0f} GFLOP/s", file=sys.stderr)
    rows, n_wrong = [], 0
    for name in given.sets.split(","):
        seen = interactions(name, size)
        if seen is None:
            print(f"{name} SKIPPED: no real data here (MARQUEE_SHARED_DATA)", file=sys.stderr)
            continue
        for n_factors in (64,) if given.quick else (64, 128):
            trained = train(name, seen, n_factors)
            for k in _K[:1] if given.quick else _K:
                n_rounds = given.rounds if k == _K[0] else 1
                lines, n_differing = _measure(trained, k, n_rounds, peak)
                rows += lines
                n_wrong += n_differing
    print_table(
        ("data", "factors", "k", "search", "users/s", "marquee by", "of the peak", "differ"), rows
    )
    return 1 if n_wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.topk",
        description=__doc__,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    every = ",".join((*REAL, SCENARIO))
    parser.add_argument("--sets", default=every, metavar="A,B", help=f"default: {every}")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    parser.add_argument(
        "--quick", action="store_true", help="64 factors, k = 20, a tenth of the scenario"
    )
    return parser


def _measure(
    trained: Trained, k: int, n_rounds: int, peak: float
) -> tuple[list[tuple[str, ...]], int]:
    """Time every search; return the table's lines and the number of lists that differ."""
    print(f"{trained.name}, {trained.user_factors.shape[1]} factors, k = {k}", file=sys.stderr)
    names = [name for name in SEARCHES if name != "faiss" or importlib.util.find_spec("faiss")]
    rates: dict[str, list[float]] = {name: [] for name in names}
    part = _sample(trained)
    for _ in range(n_rounds):
        for name in names:
            searched = trained if name == "marquee" else part
            began = time.perf_counter()
            SEARCHES[name](searched, k)
            seconds = time.perf_counter() - began
            rates[name].append(len(searched.user_factors) / seconds)
    n_differing = differences(part, SEARCHES["marquee"](part, k), SEARCHES["implicit"](part, k))
    lines = [_line(trained, k, name, rates, peak, n_differing) for name in names]
    return lines, n_differing


def _line(
    trained: Trained,
    k: int,
    name: str,
    rates: dict[str, list[float]],
    peak: float,
    n_differing: int,
) -> tuple[str, ...]:
    rate = statistics.median(rates[name])
    ratio = statistics.median(
        ours / theirs for ours, theirs in zip(rates["marquee"], rates[name], strict=True)
    )
    n_items, n_factors = trained.item_factors.shape
    share = rate * 2 * n_items * n_factors / peak
    print_figure(
        *("topk", "users_per_second", round(rate), "1/s"),
        subject="marquee",
        peer=name,
        ratio=round(ratio, 2),
        data=trained.name,
        users=len(trained.user_factors),
        items=n_items,
        factors=n_factors,
        k=k,
        differing=n_differing,
        peak_share=round(share, 2),
        seed=SEED,
    )
    return (
        *(trained.name, str(n_factors), str(k), name, f"{rate:,.0f}"),
        *("" if name == "marquee" else f"{ratio:.2f}", f"{share:.2f}"),
        str(n_differing) if name == "implicit" else "",
    )


def _sample(trained: Trained) -> Trained:
    """Return some users of a large set, drawn at random: peers take long."""
    n_users = len(trained.user_factors)
    chosen = np.sort(np.random.default_rng(SEED).permutation(n_users)[:_SAMPLE])
    return Trained(
        trained.name, trained.user_factors[chosen], trained.item_factors, trained.seen[chosen]
    )


def _peak_flops() -> float:
    """Return the floating-point operations a second of large products, on all cores."""
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
