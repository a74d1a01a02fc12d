"""Around a refresh: its events at the begin and the end, and the delivery afterwards.

    with tracked(store, options, settings, config) as finish:
        finish(refresh(store, options))

Nothing here fails a refresh: what cannot be recorded is a warning, and waits for the next
delivery. MLflow is spoken to by a child process, which is ended at `timeout_seconds`.
"""

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from batch.errors import GateRefusedError
from batch.input_counts import named_by
from batch.options import RefreshOptions
from batch.settings import BatchSettings
from batch.summary import Summary
from batch.tracking.delivery import deliver_events, emit
from batch.tracking.events import LineageRun, WrittenSnapshot
from batch.tracking.pending import Pending
from batch.tracking.settings import TrackingSettings
from batch.tracking.track import FAILED
from store.errors import MarqueeError

_ROOT: Final = Path(__file__).parents[2]  # where the packages are
_JOB: Final = "refresh"
_LATER: Final = "`python -m batch track` delivers it later"


@contextlib.contextmanager
def tracked(
    store: Path, options: RefreshOptions, settings: TrackingSettings, config: Path | None
) -> Iterator[Callable[[Summary], None]]:
    """Record a refresh; yields the function to call with its summary.

    Args:
        store: Directory of the store.
        options: Options of the refresh.
        settings: Section `[tracking]`; if it names no system, nothing is done.
        config: Configuration file; None for `marquee.toml`.
    """
    began_at, run_id = datetime.now(UTC), str(uuid.uuid4())
    job = f"{_JOB}.{options.arm}" if options.arm else _JOB
    lineage = LineageRun(run_id, settings.namespace, job, store)
    named = named_by(options.batch)

    def record(event: Callable[[], dict[str, Any]]) -> None:
        if settings.openlineage:
            with _warned():
                emit(event(), settings)
                deliver_events(settings)

    record(lambda: lineage.start(named))
    try:
        yield lambda summary: record(lambda: lineage.complete(summary.inputs, _written(summary)))
    except BaseException as error:
        message = str(error) or type(error).__name__
        is_abort = isinstance(error, KeyboardInterrupt)
        record(lambda: lineage.fail(named, message, is_abort=is_abort))
        if settings.mlflow and not isinstance(error, GateRefusedError):  # that has a manifest
            document = {
                "run_id": run_id,
                "began_at": began_at.isoformat(timespec="seconds"),
                "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "error": message,
                "parameters": _parameters(options.batch),
            }
            with _warned():
                Pending(Path(settings.path) / FAILED).add(document)
        if settings.mlflow and not is_abort:
            _track(store, settings, config)
        raise
    if settings.mlflow:
        _track(store, settings, config)


def _parameters(settings: BatchSettings) -> dict[str, Any]:
    """Return the parameters without the inputs: a URL that was refused may hold a password."""
    inputs = ("events", "catalogue", "profiles")
    return {name: value for name, value in asdict(settings).items() if name not in inputs}


def _track(store: Path, settings: TrackingSettings, config: Path | None) -> None:
    """Run `python -m batch track` in a child process; warn if it fails or takes too long."""
    option = ["--config", str(config)] if config else []
    command = [sys.executable, "-m", "batch", "track", "--store", str(store), *option]
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            timeout=settings.timeout_seconds,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        _warn(f"no answer from {settings.mlflow} in {settings.timeout_seconds:g} s; {_LATER}")
    except OSError as error:
        _warn(f"cannot be started: {error.strerror}; {_LATER}")
    else:
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            _warn(
                lines[-1].removeprefix("track failed: ")
                if lines
                else f"ended with status {done.returncode}; {_LATER}"
            )


@contextlib.contextmanager
def _warned() -> Iterator[None]:
    """Make an error a warning."""
    try:
        yield
    except (MarqueeError, OSError) as error:
        _warn(str(error))


def _warn(text: str) -> None:
    sys.stderr.write(f"warning: tracking: {text}\n")


def _written(summary: Summary) -> WrittenSnapshot:
    return WrittenSnapshot(
        generation=summary.generation,
        is_current=summary.is_current,
        gate=summary.gate["result"],
        n_lists=summary.n_users,
        n_bytes=summary.n_bytes,
        n_files=sum(1 for _ in summary.snapshot.iterdir()),
    )
