"""The locks: pinned by hash, from no particular index, and one version of each package."""

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_LOCKS = sorted(path.name for path in _ROOT.glob("requirements*.lock"))
_PIN = re.compile(r"^([a-z0-9-]+)==(\S+?)(?: ; (.+?))? \\$", re.MULTILINE)


def pins(lock):
    """Return the pinned versions of a lock by name, as (version, condition)."""
    found: dict[str, set[tuple[str, str]]] = {}
    for name, version, condition in _PIN.findall((_ROOT / lock).read_text()):
        found.setdefault(name, set()).add((version, condition))
    return found


def versions(lock):
    """Return the pinned versions of a lock by name, whatever their conditions."""
    return {name: {version for version, _ in found} for name, found in pins(lock).items()}


@pytest.mark.parametrize("lock", _LOCKS)
def test_lock_holds_no_address(lock):
    """Packages come from the index that pip is configured to use."""
    text = (_ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-", text.replace("    --hash=", ""), re.MULTILINE)


@pytest.mark.parametrize("lock", _LOCKS)
def test_every_line_of_a_lock_is_a_pin_or_its_hash(lock):
    """Each package has an exact version and at least one SHA-256."""
    lines = (_ROOT / lock).read_text().splitlines()
    n_pins = 0
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        is_pin = _PIN.match(line) is not None
        n_pins += is_pin
        assert is_pin or re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
        assert not is_pin or following.startswith("    --hash=sha256:"), line
    assert n_pins > 0


def test_development_lock_contains_the_runtime_lock():
    """Tests run with the very versions that are served with."""
    development = versions("requirements-dev.lock")
    runtime = versions("requirements.lock")
    assert {name: development.get(name) for name in runtime} == runtime


def test_serve_lock_is_the_part_of_the_runtime_lock_that_serves():
    """A server without the refresh runs the very versions that a whole Marquee does."""
    serve = versions("requirements-serve.lock")
    assert set(serve) == {"annoy", "bjoern", "falcon", "lmdb", "prometheus-client"}
    assert serve.items() <= versions("requirements.lock").items()


def test_replica_lock_is_the_serve_lock_and_what_push_and_pull_import():
    """A replica runs the versions that the tests run with."""
    replica = versions("requirements-replica.lock")
    assert versions("requirements-serve.lock").items() <= replica.items()
    assert {"aiohttp", "cryptography", "fsspec", "s3fs"} <= set(replica)
    assert replica.items() <= versions("requirements-dev.lock").items()


def test_package_in_two_locks_has_one_version():
    """No lock moves a package that another one has installed."""
    known: dict[str, set[str]] = {}
    for lock in _LOCKS:
        for name, found in versions(lock).items():
            assert known.setdefault(name, found) == found, name


def test_build_lock_is_small():
    """It holds what builds the packages that come as source, and no more."""
    assert set(pins("requirements-build.lock")) == {"setuptools"}
    assert set(pins("requirements-uv.lock")) == {"uv"}
