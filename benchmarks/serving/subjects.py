"""The subjects: thirteen servers that answer with a user's list, each on one core."""

import dataclasses
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.harness.processes import ROOT
from benchmarks.harness.servers import Command
from benchmarks.serving.data import Data, prepare_redis, prepare_shards
from benchmarks.serving.installed import Installed
from store.assignment import Assignment
from store.experiment import Arm, Experiment, write_experiment
from store.fresh import FreshList, FreshWriter
from store.layout import snapshot_folder, snapshots_folder
from store.manifest import read_manifest, write_manifest
from store.pointer import current

_PROJECT: Final = {"PYTHONPATH": str(ROOT)}
_AS_ROOT: Final = {"MARQUEE_SERVE_USER": "root"} if os.geteuid() == 0 else {}
_APPS: Final = "benchmarks.serving.apps"
_FRESH_EVERY: Final = 10  # one user of so many has a fresh list
_N_SHARDS: Final = 4


@dataclass(frozen=True, slots=True)
class Setup:
    """Inputs of the start of a subject.

    Attributes:
        data: Store with the lists.
        port: Port of 127.0.0.1 to listen on.
        folder: Empty folder for configuration and sockets.
        installed: Programs of the subject.
    """

    data: Data
    port: int
    folder: Path
    installed: Installed


@dataclass(frozen=True, slots=True)
class Subject:
    """One server that is compared.

    Attributes:
        name: Name in tables and figures.
        description: Description and configuration, in words.
        commands: Writes the configuration; returns the commands in order of their start.
        parts: Python packages and programs whose versions are printed.
        programs: Programs needed besides the project's own packages.
        target: Target of a request, with `{}` for the user.
        is_static: Whether every answer is the list of user 0.
    """

    name: str
    description: str
    commands: Callable[[Setup], Sequence[Command]]
    parts: tuple[str, ...]
    programs: tuple[str, ...] = ()
    target: str = "/recommend/{}"
    is_static: bool = False

    def version(self, installed: Installed) -> str:
        """Return the versions of its parts, in one line."""
        return ", ".join(f"{part} {installed.version(part)}" for part in self.parts)


def static_list(data: Data) -> bytes:
    """Return the only answer of a static subject."""
    return data.lists([0])[0]


def _nginx_static(setup: Setup) -> Sequence[Command]:
    configuration = setup.folder / "nginx.conf"
    configuration.write_text(f"""
        daemon off; worker_processes 1; pid nginx.pid; error_log stderr;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; tcp_nodelay on;
            default_type text/plain;
            server {{
                listen 127.0.0.1:{setup.port};
                location / {{ return 200 "{static_list(setup.data).decode()}"; }}
            }}
        }}
    """)
    nginx = ["nginx", "-p", str(setup.folder), "-c", str(configuration), "-e", "stderr"]
    return [Command(nginx)]


def _bare_bjoern_static(setup: Setup) -> Sequence[Command]:
    command = [sys.executable, "-m", f"{_APPS}.bare_bjoern", str(setup.port)]
    return [Command(command, _PROJECT, stdin=static_list(setup.data))]


def _bare_bjoern_lmdb(setup: Setup) -> Sequence[Command]:
    arguments = [str(setup.port), str(setup.data.recs)]
    return [Command([sys.executable, "-m", f"{_APPS}.bare_bjoern", *arguments], _PROJECT)]


def _plain_falcon(setup: Setup) -> Sequence[Command]:
    arguments = [str(setup.port), str(setup.data.recs)]
    return [Command([sys.executable, "-m", f"{_APPS}.plain_falcon", *arguments], _PROJECT)]


def _marquee(setup: Setup, *options: str, store: Path | None = None) -> Sequence[Command]:
    fixed = ["--store", str(store or setup.data.store), "--port", str(setup.port), "--workers", "1"]
    unlimited = {"MARQUEE_SERVE_EXPENSIVE_RATE_LIMIT": "0"}  # all requests are of one address
    environment = {**_PROJECT, **_AS_ROOT, **unlimited}
    return [Command([sys.executable, "-m", "serve", *fixed, *options], environment)]


def _marquee_fresh(setup: Setup) -> Sequence[Command]:
    """Serve the same snapshot beside fresh lists of a tenth of its users, of the same items."""
    store = _linked_store(setup)
    generation, made_at = current(setup.data.store), time.time()
    users = setup.data.lists([*range(0, setup.data.n_users, _FRESH_EVERY)])
    with FreshWriter(store) as writer:
        writer.assign(Assignment((generation,)))
        writer.put(
            (b"%d" % user, FreshList(generation, made_at, body), b"")
            for user, body in users.items()
        )
    return _marquee(setup, "--bare", store=store)


def _marquee_arms(setup: Setup) -> Sequence[Command]:
    """Serve an experiment of two arms: the snapshot, and a copy of it as another generation."""
    store = _linked_store(setup, but="snapshots")
    control = current(setup.data.store)
    snapshots_folder(store).mkdir()
    original = snapshot_folder(setup.data.store, control)
    snapshot_folder(store, control).symlink_to(original)
    copy = snapshot_folder(store, control + 1)
    copy.mkdir()
    manifest = read_manifest(original)
    for name in manifest.data_files:
        shutil.copyfile(original / name, copy / name)
    write_manifest(copy, dataclasses.replace(manifest, generation=control + 1))
    arms = (Arm("control", 0.5, control), Arm("treatment", 0.5, control + 1))
    write_experiment(store, Experiment(
        name="benchmark", kind="ab", salt="salt", started_at=manifest.finished_at, arms=arms,
        planned_days=14, metric="click_through", min_effect=0.05, alpha=0.05, power=0.8,
    ))  # fmt: skip
    return _marquee(setup, "--bare", store=store)


def _marquee_shards(setup: Setup, *options: str) -> Sequence[Command]:
    return _marquee(setup, *options, store=prepare_shards(setup.data, _N_SHARDS))


def _linked_store(setup: Setup, but: str = "fresh") -> Path:
    """Make a store of links to all files but some."""
    store = setup.folder / "store"
    store.mkdir(mode=0o750)
    for entry in setup.data.store.iterdir():
        if not entry.name.startswith(("fresh", but)):
            (store / entry.name).symlink_to(entry)
    return store


def _granian_falcon(setup: Setup) -> Sequence[Command]:
    granian = setup.installed.found("granian")
    options = ["--interface", "wsgi", "--http", "1", "--no-ws", "--port", str(setup.port),
               "--workers", "1", "--blocking-threads", "1", "--log-level", "warning"]  # fmt: skip
    app = ["--factory", f"{_APPS}.plain_falcon:granian"]
    return [Command([granian, *options, *app], {**_PROJECT, "RECS": str(setup.data.recs)})]


def _fastapi_redis(setup: Setup) -> Sequence[Command]:
    uvicorn = setup.installed.found("uvicorn")
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log",
               "--log-level", "warning", "--port", str(setup.port)]  # fmt: skip
    environment = {**_PROJECT, "REDIS_SOCKET": str(_socket(setup))}
    return [_redis(setup), Command([uvicorn, *options, f"{_APPS}.fastapi_redis:app"], environment)]


def _webdis_redis(setup: Setup) -> Sequence[Command]:
    configuration = setup.folder / "webdis.json"
    settings = {
        "redis_host": str(_socket(setup)), "http_host": "127.0.0.1", "http_port": setup.port,
        "threads": 1, "daemonize": False, "verbosity": 0, "logfile": "/dev/null",
    }  # fmt: skip
    configuration.write_text(json.dumps(settings))
    return [_redis(setup), Command(["webdis", str(configuration)])]


def _redis(setup: Setup) -> Command:
    dump = prepare_redis(setup.data, setup.installed.environment())
    options = {"port": "0", "unixsocket": str(_socket(setup)), "dir": str(dump.parent),
               "dbfilename": dump.name, "save": "", "appendonly": "no"}  # fmt: skip
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return Command(["redis-server", *arguments])


def _socket(setup: Setup) -> Path:
    return setup.folder / "redis"


SUBJECTS: Final = (
    Subject(
        name="nginx-static",
        description="one worker, `return 200` of one list: no lookup, the practical limit",
        commands=_nginx_static,
        parts=("nginx",),
        programs=("nginx",),
        is_static=True,
    ),
    Subject(
        name="bare-bjoern-static",
        description="a WSGI function that answers with one list",
        commands=_bare_bjoern_static,
        parts=("bjoern",),
        is_static=True,
    ),
    Subject(
        name="bare-bjoern-lmdb",
        description="a WSGI function with one `get`",
        commands=_bare_bjoern_lmdb,
        parts=("bjoern", "lmdb"),
    ),
    Subject(
        name="marquee-bare",
        description="`python -m serve --bare --workers 1`, everything on",
        commands=lambda setup: _marquee(setup, "--bare"),
        parts=("bjoern", "lmdb", "falcon"),
    ),
    Subject(
        name="marquee-bare-fresh",
        description="the same beside fresh lists of a tenth of the users",
        commands=_marquee_fresh,
        parts=("bjoern", "lmdb", "falcon"),
    ),
    Subject(
        name="marquee-bare-arms",
        description="the same in an experiment of two arms, each a snapshot of its own",
        commands=_marquee_arms,
        parts=("bjoern", "lmdb", "falcon"),
    ),
    Subject(
        name="marquee-bare-shards",
        description=f"the same lists in {_N_SHARDS} shards, all of them open",
        commands=lambda setup: _marquee_shards(setup, "--bare"),
        parts=("bjoern", "lmdb", "falcon"),
    ),
    Subject(
        name="marquee-front",
        description="`python -m serve --workers 1`: nginx in front of the worker, on the same core",
        commands=_marquee,
        parts=("nginx", "bjoern", "lmdb", "falcon"),
        programs=("nginx",),
    ),
    Subject(
        name="marquee-front-shards",
        description=f"the same with the lists in {_N_SHARDS} shards, all of them open",
        commands=_marquee_shards,
        parts=("nginx", "bjoern", "lmdb", "falcon"),
        programs=("nginx",),
    ),
    Subject(
        name="plain-falcon",
        description="an ordinary Falcon resource on bjoern, the same lookup",
        commands=_plain_falcon,
        parts=("falcon", "bjoern", "lmdb"),
    ),
    Subject(
        name="webdis-redis",
        description="webdis, one thread, over Redis on a unix socket, both on the core",
        commands=_webdis_redis,
        parts=("webdis", "redis-server"),
        programs=("webdis", "redis-server"),
        target="/GET/{}.txt",
    ),
    Subject(
        name="fastapi-redis",
        description=(
            "FastAPI, uvicorn (uvloop, httptools), redis-py asyncio with hiredis, unix socket"
        ),
        commands=_fastapi_redis,
        parts=("fastapi", "uvicorn", "redis", "redis-server"),
        programs=("uvicorn", "redis-server"),
    ),
    Subject(
        name="granian-falcon",
        description="Granian (Rust), one worker, one blocking thread, the same Falcon resource",
        commands=_granian_falcon,
        parts=("granian", "falcon", "lmdb"),
        programs=("granian",),
    ),
)
