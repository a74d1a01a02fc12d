"""The benchmark of a fetch: all is fetched, and its check finds what differs."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import fetch
from benchmarks.harness.errors import BenchmarkError
from benchmarks.simulator.live.apis.lookup import (
    ItemLookup,
    UserLookup,
    item_defects,
    user_defects,
)
from benchmarks.simulator.world.world import make_world

WORLD = make_world(50, 30, 3, n_days=7)
ARGUMENTS = (3, fetch._OPTIONS.log_format, fetch._OPTIONS.defect_share)


def test_everything_is_fetched_through_outage_and_kill(capsys):
    """The figures have the fields that programs read."""
    assert fetch.main(["--quick"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {line["subject"]: line["value"] for line in lines if line["metric"] == "found"}
    assert found == {"users": 2_000, "movies": 500}
    assert {"n_users", "n_items", "seed", "outage_seconds"} <= lines[0].keys()


@pytest.mark.parametrize("damage", ["", "document", "row", "violation"])
def test_the_check_finds_what_differs(tmp_path, damage):
    """A changed or missing document, and a violation that was not counted."""
    (tmp_path / "var/api").mkdir(parents=True)
    summary = {}
    for name, lookup, ids, defects in (
        ("users", UserLookup(WORLD.users, *ARGUMENTS), map(str, WORLD.users.ids),
         user_defects(WORLD.users, *ARGUMENTS)),
        ("movies", ItemLookup(WORLD.items, *ARGUMENTS), WORLD.items.ids,
         item_defects(WORLD.items, *ARGUMENTS)),
    ):  # fmt: skip
        rows = dict(zip(names := list(ids), lookup.find(names, fetch._SECOND), strict=True))
        texts = [text.decode() for text in rows.values() if text]
        if damage == "document":
            texts[-1] = texts[-1].replace("{", '{"new": 1, ')
        table = pa.table({"id": names, "doc": texts}).slice(damage == "row")
        pq.write_table(table, tmp_path / f"var/api/{name}.parquet")
        violations = fetch._counted(defects)
        if damage == "violation":
            violations.popitem()
        summary[name] = {"violations": violations}
    if not damage:
        fetch._check(WORLD, tmp_path, summary)
        return
    with pytest.raises(BenchmarkError, match="differ"):
        fetch._check(WORLD, tmp_path, summary)
