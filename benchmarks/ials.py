"""Training of iALS: time, objective and equality of bits, against irspack and implicit's ALS.

python -m benchmarks.ials --data FOLDER
python -m benchmarks.ials --quick

Each trains 5 sweeps from random factors, on one thread and on two, in turns. FOLDER holds
MovieLens `ml-1m`; `scenario` is a generated service. irspack is not a dependency and is
skipped where it is not installed. `als` has another objective, and serves as a scale of time.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.models.factors import Factors
from batch.models.ials import Ials
from batch.models.ials_solver import Penalty
from batch.models.least_squares import AlsParameters, train_als
from batch.version import code_version
from benchmarks.harness.arguments import add_data, make_parser
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.topk.factors import SCENARIO, Size, interactions

_SEED: Final = 7
_SWEEPS: Final = 5
_N_THREADS: Final = (1, 2)
_PENALTY: Final = Penalty(regularization=0.007, unobserved_weight=0.3, frequency_exponent=1.0)
_SCENARIO: Final = Size(users=50_000, items=27_000, views=2_000_000)
_QUICK: Final = Size(users=3_000, items=1_000, views=60_000)
_CHUNK: Final = 1 << 16  # interactions whose scores are computed at a time

Train = Callable[[sp.csr_matrix, int, int], Factors]


@dataclass(frozen=True, slots=True)
class _Result:
    """One training.

    Attributes:
        seconds: Elapsed time.
        processor_seconds: Time of all threads.
        objective: Objective of iALS, per interaction.
        digest: Digest of the bits of the factors.
    """

    seconds: float
    processor_seconds: float
    objective: float
    digest: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table, and lines for each data set, number of factors and subject.

    Returns:
        1 if the bits of `marquee` differ on one thread and on two, else 0.
    """
    parser = make_parser("ials", __doc__)
    add_data(parser)
    parser.add_argument("--quick", action="store_true", help="a small scenario and few factors")
    args = parser.parse_args(arguments)
    subjects = dict(_subjects())
    rows: list[tuple[str, ...]] = []
    is_same = True
    for name, weights in _data(args.data, quick=args.quick):
        for n_factors in (16,) if args.quick else (64, 128, 256):
            results = _measure(subjects, weights, n_factors)
            rows += _print(name, weights, n_factors, results)
            is_same &= len({result.digest for result in results["marquee"]}) == 1
    header = ("data", "factors", "subject", "s, 1 thread", "2 threads", "processor s",
              "marquee by", "objective", "same bits")  # fmt: skip
    print_table(header, rows)
    return 0 if is_same else 1


def _data(folder: Path | None, *, quick: bool) -> Iterator[tuple[str, sp.csr_matrix]]:
    if not quick:
        if folder is not None:
            os.environ["MARQUEE_SHARED_DATA"] = str(folder)
        if (real := interactions("ml-1m", _SCENARIO)) is None:
            print("ml-1m SKIPPED: its folder is missing; use --data", file=sys.stderr)
        else:
            yield "ml-1m", real
    generated = interactions(SCENARIO, _QUICK if quick else _SCENARIO)
    assert generated is not None
    yield SCENARIO, generated


def _subjects() -> Iterator[tuple[str, Train]]:
    yield "marquee", _marquee
    if importlib.util.find_spec("irspack"):
        yield "irspack", _irspack
    else:
        print("irspack SKIPPED: it is not installed", file=sys.stderr)
    yield "als", _als


def _marquee(weights: sp.csr_matrix, n_factors: int, n_threads: int) -> Factors:
    fitted = Ials(n_factors=n_factors, iterations=_SWEEPS, seed=_SEED).fit(
        weights, n_threads=n_threads
    )
    return Factors(fitted.user_factors, fitted.item_factors)


def _irspack(weights: sp.csr_matrix, n_factors: int, n_threads: int) -> Factors:
    library = importlib.import_module("irspack.recommenders.ials")
    trainer = library.IALSTrainer(
        weights,
        n_components=n_factors,
        alpha0=_PENALTY.unobserved_weight,
        reg=_PENALTY.regularization,
        nu=_PENALTY.frequency_exponent,
        init_std=0.1,
        solver_type=library.SolverType.CG,
        max_cg_steps=3,
        ialspp_subspace_dimension=64,
        loss_type=library.LossType.IALSPP,
        random_seed=_SEED,
        n_threads=n_threads,
        prediction_time_max_cg_steps=5,
        prediction_time_ialspp_iteration=5,
    )
    for _ in range(_SWEEPS):
        trainer.run_epoch()
    return Factors(trainer.core_trainer.user, trainer.core_trainer.item)


def _als(weights: sp.csr_matrix, n_factors: int, n_threads: int) -> Factors:
    parameters = AlsParameters(n_factors, 1.0, 2.0, _SWEEPS, _SEED)
    return train_als(weights, parameters, n_threads=n_threads)


def _measure(
    subjects: Mapping[str, Train], weights: sp.csr_matrix, n_factors: int
) -> dict[str, list[_Result]]:
    """Return the results of each subject, on each number of threads."""
    results: dict[str, list[_Result]] = {name: [] for name in subjects}
    for n_threads in _N_THREADS:
        for name, train in subjects.items():
            began, processor_began = time.perf_counter(), time.process_time()
            factors = train(weights, n_factors, n_threads)
            seconds = time.perf_counter() - began
            processor_seconds = time.process_time() - processor_began
            digest = hashlib.sha256(b"".join(side.tobytes() for side in factors)).hexdigest()
            objective = _objective(factors, weights) / weights.nnz
            results[name].append(_Result(seconds, processor_seconds, objective, digest))
    return results


def _objective(factors: Factors, weights: sp.csr_matrix) -> float:
    """Return the objective of iALS for interactions of weight 1."""
    users, items = factors
    user_rows = np.repeat(np.arange(len(users)), np.diff(weights.indptr))
    total = 0.0
    for begin in range(0, weights.nnz, _CHUNK):
        at = slice(begin, begin + _CHUNK)
        scores = np.einsum("pf,pf->p", users[user_rows[at]], items[weights.indices[at]])
        total += float(((1 - scores) ** 2).sum(dtype=np.float64))
    total += _PENALTY.unobserved_weight * float(((users.T @ users) * (items.T @ items)).sum())
    n_items_of_users = np.diff(weights.indptr)
    n_users_of_items = np.bincount(weights.indices, minlength=len(items))
    total += float(_PENALTY.of(n_items_of_users, len(items)) @ (users**2).sum(axis=1))
    total += float(_PENALTY.of(n_users_of_items, len(users)) @ (items**2).sum(axis=1))
    return total


def _print(
    name: str, weights: sp.csr_matrix, n_factors: int, results: Mapping[str, Sequence[_Result]]
) -> list[tuple[str, ...]]:
    """Print the figures of one data set; return the rows of the table."""
    inputs = {
        "data": name, "users": weights.shape[0], "items": weights.shape[1],
        "interactions": weights.nnz, "factors": n_factors, "sweeps": _SWEEPS, "seed": _SEED,
        "version": code_version(),
    }  # fmt: skip
    own = results["marquee"][-1]
    rows: list[tuple[str, ...]] = []
    for subject, (one, two) in results.items():
        ratio = two.processor_seconds / own.processor_seconds
        is_same = one.digest == two.digest
        figures = (
            ("train_seconds_1_thread", one.seconds, "s"),
            ("train_seconds_2_threads", two.seconds, "s"),
            ("processor_seconds", two.processor_seconds, "s"),
            ("objective_per_interaction", two.objective, "1"),
            ("same_bits", float(is_same), "1"),
        )
        for metric, value, unit in figures:
            print_figure("ials", metric, value, unit, subject=subject, **inputs)
        if subject != "marquee":
            print_figure(
                "ials", "processor_seconds", own.processor_seconds, "s", subject="marquee",
                peer=subject, ratio=ratio, **inputs,
            )  # fmt: skip
        rows.append((
            name, str(n_factors), subject, f"{one.seconds:.2f}", f"{two.seconds:.2f}",
            f"{two.processor_seconds:.2f}", "" if subject == "marquee" else f"{ratio:.2f}",
            "" if subject == "als" else f"{two.objective:.4f}", "yes" if is_same else "no",
        ))  # fmt: skip
    return rows


if __name__ == "__main__":
    sys.exit(main())
