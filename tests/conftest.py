"""Fixtures for every package's tests."""

import contextlib
import os
from pathlib import Path

import pytest

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[1].parent / "shared" / "data"
_LONG_FILES = (  # of minutes or nearly so; begun last, one of them would be waited for alone
    "test_refresh_real.py", "test_gate.py", "test_kill_every_call.py", "test_stream.py",
    "test_file_modes.py", "test_freshness.py", "test_changing_files.py", "test_second_stage.py",
    "test_partitions.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files, for `make test` hands out one file at a time, in this order.

    Tests marked `alone` are left to `.ci/campaigns alone`, which `.ci/run` calls.
    """
    place = {name: number for number, name in enumerate(_LONG_FILES)}
    items.sort(key=lambda item: place.get(item.path.name, len(_LONG_FILES)))
    if not os.environ.get("ALONE_CAMPAIGN"):
        later = pytest.mark.skip(reason="has the machine for itself: .ci/campaigns alone")
        for item in items:
            if item.get_closest_marker("alone"):
                item.add_marker(later)


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data, which is never part of the project."""
    folder = Path(os.environ.get("MARQUEE_SHARED_DATA") or _BESIDE_THE_CHECKOUT)
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not there; set MARQUEE_SHARED_DATA")
    return folder


@pytest.fixture
def as_anybody():
    """Be nobody for a while where root runs the tests, for root may read everything."""

    @contextlib.contextmanager
    def as_anybody():
        user_id = os.geteuid()
        if user_id == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(user_id)

    return as_anybody
