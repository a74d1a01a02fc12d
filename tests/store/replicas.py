"""Helpers of the replica tests: push and pull through a directory."""

from store.config import StoreSettings
from store.layout import snapshot_folder
from store.manifest import verify
from store.pointer import current
from store.pull import pull
from store.push import push
from store.remote import Remote
from tests.snapshots import files_of

KEEP_ALL = StoreSettings(keep=100)


def push_to(there, store, generation=None, key=None):
    return push(store, Remote(str(there)), generation, key)


def pull_from(there, node, settings=KEEP_ALL, **options):
    return pull(node, Remote(str(there)), settings, **options)


def snapshot_files(store, generation):
    return files_of(snapshot_folder(store, generation))


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def assert_current_is_complete(store):
    """Assert that the current snapshot is complete, if there is one."""
    if (store / "CURRENT").exists():
        verify(snapshot_folder(store, current(store)))
