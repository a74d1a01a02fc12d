"""Fixtures for every package's tests."""

import contextlib
import os
from pathlib import Path

import pytest

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[1].parent / "shared" / "data"


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
