"""The cold start against popularity, on users and items whose interactions are hidden.

python -m benchmarks.cold_start --data FOLDER
python -m benchmarks.cold_start --quick

FOLDER holds `ml-100k`, `ml-1m`, `stream` and `api`; missing files are skipped. A
simulated service, whose users state the genres they like, is always included. Real
users have no stated likes: these are made of titles from their hidden interactions.
Vectors from outside are embeddings of the texts, which see no interaction.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.cold_start.data import Tastes, real_data, simulated_data, taste_vectors
from benchmarks.cold_start.described import described_by_likes, described_by_titles
from benchmarks.cold_start.evaluated import HEADER
from benchmarks.cold_start.items import cold_items
from benchmarks.cold_start.users import cold_users, likes_of_genres, likes_of_titles
from benchmarks.harness.arguments import add_data, make_parser
from benchmarks.harness.data_sets import VIEWS_290K, Service
from benchmarks.harness.tables import print_table

_SEED: Final = 42
_SIMULATED: Final = (20_000, 2_000, 10.0)  # users, items, views per user
_QUICK: Final = (3_000, 400, 10.0)
_SPARSE: Final = VIEWS_290K.name  # few of its users have more than one item


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table for each kind of cold start, and a line for each figure."""
    parser = make_parser("cold_start", __doc__)
    add_data(parser)
    parser.add_argument("--quick", action="store_true", help="ML-100k, and a small simulation")
    args = parser.parse_args(arguments)
    tables: dict[str, list[Sequence[str]]] = {"users": [], "likes": [], "vectors": [], "items": []}
    for data, tastes in _services(args.data, is_quick=args.quick):
        print(f"{data.name}: {data.interactions.weights.shape}", file=sys.stderr, flush=True)
        tables["users"] += cold_users(data, _SEED)
        if any(profile.likes for profile in data.profiles.values()):
            tables["likes"] += likes_of_genres(data, _SEED)
            tables["vectors"] += described_by_likes(data, _SEED, tastes.users if tastes else None)
        elif data.name != _SPARSE:
            tables["likes"] += likes_of_titles(data, _SEED)
            tables["vectors"] += described_by_titles(data, _SEED)
        tables["items"] += cold_items(data, _SEED, tastes.items if tastes else None)
    for kind, rows in tables.items():
        print(f"\nhidden {kind}", file=sys.stderr)
        print_table(HEADER, rows)
    return 0


def _services(folder: Path | None, *, is_quick: bool) -> Iterator[tuple[Service, Tastes | None]]:
    """Yield each service; with the simulated one its tastes."""
    if folder:
        for data in real_data(folder, is_quick=is_quick):
            yield data, None
    n_users, n_items, views_per_user = _QUICK if is_quick else _SIMULATED
    data = simulated_data(n_users, n_items, views_per_user, seed=_SEED)
    yield data, taste_vectors(n_users, n_items, _SEED)


if __name__ == "__main__":
    sys.exit(main())
