"""A copy of a store on another machine, behind any URL that fsspec speaks.

    /mnt/replica   file:///mnt/replica   s3://bucket/marquee   http://host/marquee
        snapshots/000042/ … SHA256SUMS        SHA256SUMS.pending while it is under way
        manifests/000037.json
        TAKEDOWN  JOURNAL  CURRENT

The layout is the store's own, so such a directory can be served as it stands.
Data files are sent in place; what others read in order to find them is staged
as `NAME.pending` and renamed. fsspec is imported here alone, when a `Remote`
is made: nobody else needs it. Keys and endpoints come from the environment
(`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `FSSPEC_S3_…`), not from the URL.
"""

import contextlib
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from store.durable import fsync_path
from store.errors import ReplicaError

CURRENT: Final = "CURRENT"
JOURNAL: Final = "JOURNAL"

_EXTRA: Final = "the extra `replica` brings it: pip install 'fsspec[http,s3]'"
_PENDING: Final = ".pending"
_SILENT_SECONDS: Final = 60  # an HTTP server that sends nothing for so long is gone

# There a folder is nothing that one makes, and fsspec would make a bucket of a mistyped name.
_OBJECT_STORES: Final = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"}
_HTTP: Final = {"http", "https"}


class Remote:
    """The other side of a push or a pull; names are relative to its URL.

    Every method raises `ReplicaError` when the other side cannot be reached or
    says no; that a file is not there is an answer, and no error.

    Attributes:
        url: Where, without user name and password.
        is_read_only: Whether it can only be pulled from.
    """

    def __init__(self, url: str) -> None:
        """Find what speaks `url`; nothing is asked of the other side yet.

        Raises:
            ReplicaError: The extra is not installed, or nothing speaks it.
        """
        self.url = re.sub(r"//[^/@]*@", "//", url)
        self._given = url
        with self._told():
            self._fs, root = _filesystem(url)
        self._root = str(root).rstrip("/")
        spoken = self._fs.protocol
        self._speaks = {spoken} if isinstance(spoken, str) else set(spoken)
        self.is_read_only = not self._speaks.isdisjoint(_HTTP)

    def read(self, name: str) -> bytes | None:
        """Return a small file, None if it is not there."""
        with self._told():
            self._fs.invalidate_cache()
            try:
                return bytes(self._fs.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def size(self, name: str) -> int | None:
        """Return the bytes of a file, None if it is not there."""
        with self._told():
            self._fs.invalidate_cache()
            try:
                return int(self._fs.info(self._path(name))["size"])
            except FileNotFoundError:
                return None

    def names(self, folder: str) -> list[str]:
        """Return what lies in a folder, which need not exist."""
        with self._told():
            self._fs.invalidate_cache()
            try:
                paths = self._fs.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return []
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in paths)

    def send(self, file: Path, name: str) -> None:
        """Send a file in place: until it has arrived, nobody may look for it."""
        with self._told():
            self._make_parent(name)
            self._fs.put_file(str(file), self._path(name))
            self._settle(name)
        if (n_bytes := self.size(name)) != file.stat().st_size:
            what = f"{n_bytes} of {file.stat().st_size} bytes of {name} arrived"
            raise ReplicaError(self.url, what, "push again")

    def fetch(self, name: str, file: Path) -> None:
        """Fetch a file; it has its name here when all of it has come."""
        part = file.with_name(f"{file.name}.part")
        with self._told():
            self._fs.get_file(self._path(name), str(part))
        part.replace(file)

    def write(self, name: str, data: bytes) -> None:
        """Replace a small file whole: who reads it finds the old one or the new."""
        self.stage(name, data)
        self.commit(name)

    def stage(self, name: str, data: bytes) -> None:
        """Write what `commit` will make of the file, where nobody looks."""
        with self._told():
            self._make_parent(name)
            self._fs.pipe_file(self._path(name + _PENDING), data)
            self._settle(name + _PENDING)

    def staged(self, name: str) -> bytes | None:
        """Return what stands ready for `commit`, if anything does."""
        return self.read(name + _PENDING)

    def commit(self, name: str) -> None:
        """Put what is staged in the file's place, by one rename."""
        with self._told():
            self._fs.mv(self._path(name + _PENDING), self._path(name))
            self._settle(name)

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it; it need not exist."""
        with self._told():
            self._fs.invalidate_cache()
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm(self._path(name), recursive=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _make_parent(self, name: str) -> None:
        if self._speaks.isdisjoint(_OBJECT_STORES):
            self._fs.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)

    def _settle(self, name: str) -> None:
        """Force a file and its name to disk where the other side is a directory here."""
        if "file" in self._speaks:
            path = Path(self._path(name))
            fsync_path(path)
            fsync_path(path.parent)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Make one clear line of whatever a file system of fsspec may raise."""
        try:
            yield
        except ReplicaError:
            raise
        except ImportError as error:
            raise ReplicaError(self.url, f"cannot be spoken to: {_line(error)}", _EXTRA) from error
        except Exception as error:  # each brings a family of its own
            what = _line(error).replace(self._given, self.url)
            raise ReplicaError(self.url, f"cannot be used: {what}") from error


def _filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for `url`, and the path in it."""
    options: dict[str, Any] = {}
    if url.partition(":")[0] in _HTTP:  # aiohttp would stop any download after five minutes
        timeout = importlib.import_module("aiohttp").ClientTimeout(
            total=None, sock_connect=_SILENT_SECONDS, sock_read=_SILENT_SECONDS
        )
        options["client_kwargs"] = {"timeout": timeout}
    found: tuple[Any, str] = importlib.import_module("fsspec.core").url_to_fs(url, **options)
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
