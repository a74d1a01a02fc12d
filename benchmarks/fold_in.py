"""Fold one user in from a snapshot's files: processor time, with the list and without.

Each model that can be served is fitted to generated views and written as a refresh writes it.
Then its files are mapped, and users are folded in one at a time on one thread, their history
read from `seen.mdb`: "fold in" ends with their factors or weighted items, "list" with their 30
best items. Lists are compared with those of the batch; a difference is a failure.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.models.blend import blended
from batch.models.choose import recommender
from batch.models.protocol import Fitted
from batch.models.view_order import order_views
from batch.served.document import describe
from batch.served.files import ServedModel, open_served, served_document, write_served
from batch.served.history import Histories
from batch.settings import BatchSettings
from batch.unavailable import Unavailable
from benchmarks.harness.arguments import make_parser, some_of
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.topk.factors import SCENARIO, SEED, Size, interactions
from store.gate_result import GateResult
from store.layout import INDEX, RECS, is_model_file
from store.model_files import SERVED_MODEL
from store.publish import writing
from store.snapshot import open_snapshot
from store.writer import SnapshotWriter

MODELS: Final = (
    "als", "ials", "spectral", "ease", "graph_filter", "rp3beta", "item_knn", "last_items",
    "popularity", "ials+ease", "ials+spectral", "ials+item_knn", "ials+ease+graph_filter+spectral",
)  # fmt: skip
_SIZES: Final = {
    "quick": Size(2_000, 1_000, 60_000),
    "ml-1m": Size(6_040, 3_700, 1_000_000),
    "large": Size(30_000, 27_000, 1_500_000),
}
_DEFAULT_DATA: Final = ["ml-1m", "large"]
# With the most factors that `auto` tries
_SETTINGS: Final = BatchSettings(holdout_users=0, ials_factors=256, spectral_factors=192)
_K: Final = 30  # the list, and the spares behind it
_N_USERS: Final = 200  # folded in one at a time
_TABLES: Final = ("users", "spares", "similar", "fallback", "profiles", "items")
_HEADER: Final = ("data", "model", "fold in ms", "list ms", "list p99 ms", "arrays MiB", "differ")
_EXAMPLE: Final = """example:
  python -m benchmarks.fold_in --models ials,ease,ials+ease
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of one model.

    Attributes:
        fold_in_ms: Median processor time to read a history and fold it in, in milliseconds.
        list_ms: The same with the list.
        list_p99_ms: 99th percentile of the same.
        arrays_mib: Size of the model's arrays, MiB.
        differing: Users whose list is not that of the batch.
    """

    fold_in_ms: float
    list_ms: float
    list_p99_ms: float
    arrays_mib: float
    differing: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status: 0 measured, 1 lists differ."""
    args = _parser().parse_args(arguments)
    rows, n_differing = [], 0
    for name in ["quick"] if args.quick else args.data:
        size = _SIZES[name]
        weights = interactions(SCENARIO, size)
        assert weights is not None  # only real data may be missing
        fitted: dict[str, Fitted] = {}
        for model in args.models:
            measured = measure(_fitted(model, weights, fitted), weights)
            _print_figures(model, name, size, measured)
            n_differing += measured.differing
            shown = (measured.fold_in_ms, measured.list_ms, measured.list_p99_ms)
            others = (f"{measured.arrays_mib:,.1f}", str(measured.differing))
            rows.append((name, model, *(f"{value:.2f}" for value in shown), *others))
    print_table(_HEADER, rows)
    return 1 if n_differing else 0


def measure(model: Fitted, weights: sp.csr_matrix) -> Measured:
    """Write a fitted model to a snapshot, and fold users in from its files."""
    chosen = np.random.default_rng(SEED).choice(weights.shape[0], _N_USERS, replace=False)
    expected = model.top_k(_K, user_rows=chosen)
    document = describe(model)
    assert not isinstance(document, Unavailable)
    n_later = order_views(weights, None, SEED, n_threads=1).n_later
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        _write(store, ServedModel(document, Histories(weights, n_later)))
        fold_in_ms, list_ms, differing = [], [], 0
        with open_snapshot(store, 1) as snapshot, open_served(snapshot) as served:
            assert not isinstance(served, Unavailable)
            files = snapshot.manifest.files.items()
            n_bytes = sum(size for name, size in files if is_model_file(name))
            for number, row in enumerate([*chosen[:20], *chosen]):  # the first ones warm up
                begin = time.process_time()
                folded_in = served.fold_in(served.histories([_user_id(row)]))
                between = time.process_time()
                found = folded_in.top_k(_K, n_threads=1)
                end = time.process_time()
                if number >= 20:
                    fold_in_ms.append(1000 * (between - begin))
                    list_ms.append(1000 * (end - begin))
                    same = found.item_rows[0].tolist() == expected.item_rows[number - 20].tolist()
                    differing += not same
    return Measured(
        statistics.median(fold_in_ms),
        statistics.median(list_ms),
        float(np.percentile(list_ms, 99)),
        n_bytes / (1 << 20),
        differing,
    )


def _fitted(name: str, weights: sp.csr_matrix, fitted: dict[str, Fitted]) -> Fitted:
    """Return a model or a blend with equal shares; models are kept in `fitted`."""
    parts = name.split("+")
    for part in parts:
        if part not in fitted:
            fitted[part] = recommender(part, _SETTINGS).fit(weights)
    return blended([fitted[part] for part in parts], [1.0] * len(parts), weights)


def _write(store: Path, served: ServedModel) -> None:
    weights = served.histories.weights
    user_ids = [_user_id(row).encode() for row in range(weights.shape[0])]
    rows = sorted((b"%d" % row, b"i%d" % row) for row in range(weights.shape[1]))
    now = datetime.now(UTC).isoformat()
    with writing(store), SnapshotWriter(store) as writer:
        for table in _TABLES:
            writer.table(RECS, table, [])
        writer.table(RECS, "rows", rows)
        writer.path(INDEX).touch()
        write_served(writer, served.model, served.records(user_ids))
        writer.finish(
            began_at=now, finished_at=now, code_version="benchmark", inputs=[], metrics={},
            parameters={SERVED_MODEL: served_document(served)}, gate=GateResult(),
        )  # fmt: skip


def _user_id(row: int) -> str:
    return f"{row:08d}"


def _print_figures(model: str, data: str, size: Size, measured: Measured) -> None:
    for metric, unit in (
        ("fold_in_ms", "ms"),
        ("list_ms", "ms"),
        ("list_p99_ms", "ms"),
        ("arrays_mib", "MiB"),
        ("differing", "users"),
    ):
        print_figure(
            "fold_in", metric, getattr(measured, metric), unit, subject=model,
            data=data, **asdict(size), k=_K, seed=SEED,
        )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("fold_in", __doc__, _EXAMPLE)
    parser.add_argument("--quick", action="store_true", help="2,000 users, 1,000 items")
    parser.add_argument(
        "--data", type=some_of(_SIZES, "data"), default=_DEFAULT_DATA,
        metavar="DATA,…", help=f"sizes of the generated views; default: {','.join(_DEFAULT_DATA)}",
    )  # fmt: skip
    parser.add_argument(
        "--models", type=some_of(MODELS, "model"), default=list(MODELS),
        metavar="MODEL,…", help=f"default: {','.join(MODELS)}",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
