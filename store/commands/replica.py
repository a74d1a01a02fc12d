"""`push`, `pull` and `keygen`: replicas of a store on other machines."""

import argparse
import dataclasses
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from store.commands.output import add_generation, add_json, report, seconds
from store.config import StoreSettings, load_section
from store.progress import clear_line, on_terminal
from store.pull import pull, watch
from store.push import push
from store.remote import Remote
from store.replica_settings import ReplicaSettings
from store.replica_status import check_replica
from store.signing import SigningKey, load_trusted_keys, make_key

_URL = "a directory, file://, s3:// or another protocol of fsspec"
_PUSH_EXAMPLE = """example:
  python -m store push s3://bucket/marquee
  python -m store push /mnt/replica --generation 41"""
_PULL_EXAMPLE = """example:
  python -m store pull s3://bucket/marquee
  python -m store --store /srv/marquee pull http://builder/marquee --watch 5"""

_KEYGEN_EXAMPLE = """example:
  python -m store keygen /etc/marquee/push.key

Set `[store] signing_key` to that file where you push, and `[store] trusted_keys`
to the public key where you pull."""
_PLAIN_HTTP = "plain HTTP without trusted keys: any host on the way can change what is pulled"

_log = logging.getLogger(__name__)


def add_parser(verbs: Any) -> None:
    """Declare the verbs."""
    about = "Copy a snapshot and the takedowns to a URL, and make it current there."
    verb = _verb(verbs, "push", about, _PUSH_EXAMPLE)
    verb.add_argument("url", metavar="URL", help=_URL)
    verb.set_defaults(run=_push)
    add_generation(verb)
    add_json(verb)

    about = "Copy the current snapshot and the takedowns of a URL, and make it current here."
    verb = _verb(verbs, "pull", about, _PULL_EXAMPLE)
    verb.add_argument("url", metavar="URL", help=f"{_URL}; also http://")
    watch_help = "pull every SECONDS without end, and log each change"
    verb.add_argument("--watch", type=seconds, metavar="SECONDS", help=watch_help)
    rollback_help = "accept an older generation, older signatures and restored items"
    verb.add_argument("--allow-rollback", action="store_true", help=rollback_help)
    verb.set_defaults(run=_pull)
    add_json(verb)

    about = "Make a private key that signs pushes, and print its public key."
    verb = _verb(verbs, "keygen", about, _KEYGEN_EXAMPLE)
    verb.add_argument("file", type=Path, metavar="FILE", help="a new file; FILE.pub is made too")
    verb.set_defaults(run=_keygen)
    add_json(verb)


def _push(store: Path, options: argparse.Namespace) -> int:
    _log_to_standard_error()
    file = load_section("store", StoreSettings, options.config).signing_key
    key = SigningKey(Path(file)) if file else None
    done = push(store, Remote(options.url, on_terminal), options.generation, key)
    lines = [f"generation {done.generation} is current there; {done.n_bytes / 1e6:,.1f} MB sent"]
    if done.pruned:
        lines.append(f"pruned there: {', '.join(map(str, done.pruned))}")
    report(options, dataclasses.asdict(done), lines)
    return 0


def _pull(store: Path, options: argparse.Namespace) -> int:
    settings = load_section("store", StoreSettings, options.config)
    replica = load_section("replica", ReplicaSettings, options.config)
    remote = Remote(options.url)
    load_trusted_keys(settings.trusted_keys)  # a wrong one ends --watch before it begins
    check_replica(remote, replica)
    _log_to_standard_error()
    if remote.is_plain_http and not settings.trusted_keys:
        _log.warning("%s: %s; set `[store] trusted_keys`", remote.url, _PLAIN_HTTP)
    allow_rollback = options.allow_rollback
    if options.watch is not None:
        _exit_at_a_signal()
        watch(store, remote, settings, options.watch, replica, allow_rollback=allow_rollback)
    done = pull(store, remote, settings, replica, allow_rollback=allow_rollback)
    suffix = "" if done.has_changed else ", unchanged"
    lines = [f"generation {done.generation} {done.state}{suffix}"]
    report(options, dataclasses.asdict(done), lines)
    return 0


def _keygen(_: Path, options: argparse.Namespace) -> int:
    public = make_key(options.file)
    lines = [f"private key: {options.file}", f"public key:  {options.file}.pub, {public}"]
    report(options, {"private": str(options.file), "public": public}, lines)
    return 0


def _log_to_standard_error() -> None:
    """Log the store's lines alone: other libraries log what a remote sent."""
    logging.basicConfig(
        level=logging.CRITICAL,
        format=clear_line() + "%(asctime)s %(levelname)s %(message)s",  # in place of a progress bar
        stream=sys.stderr,
    )
    logging.getLogger("store").setLevel(logging.INFO)


def _exit_at_a_signal() -> None:
    """Exit at SIGTERM and SIGINT: the store is consistent at any time."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))


def _verb(verbs: Any, name: str, about: str, example: str) -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    verb: argparse.ArgumentParser = verbs.add_parser(
        name, help=about, description=about, epilog=example, formatter_class=raw
    )
    return verb
