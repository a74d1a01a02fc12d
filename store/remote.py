"""A copy of a store at any URL that fsspec supports.

    /mnt/replica   file:///mnt/replica   s3://bucket/marquee   http://host/marquee
        snapshots/000042/ … SHA256SUMS        SHA256SUMS.pending during a push
        manifests/000037.json
        TAKEDOWN  JOURNAL  CURRENT

The layout is that of a store, so such a directory can be served directly. Data
files are sent in place; the files through which readers find them are staged as
`NAME.pending` and renamed. fsspec is imported here alone, when a `Remote` is made.
Keys and endpoints come from the environment (`AWS_ACCESS_KEY_ID`,
`AWS_ENDPOINT_URL`, `FSSPEC_S3_…`), not from the URL.
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

_EXTRA: Final = "install the extra `replica`: pip install 'fsspec[http,s3]'"
_PENDING: Final = ".pending"
_HTTP_TIMEOUT_SECONDS: Final = 60  # for a connection, and for each read

# They have no directories to make, and fsspec would make a bucket of a mistyped name.
_OBJECT_STORES: Final = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"}
_HTTP: Final = {"http", "https"}


class Remote:
    """The remote side of a push or a pull; names are relative to its URL.

    Every method raises `ReplicaError` if the remote cannot be reached or refuses
    the operation; a missing file is not an error.

    Attributes:
        url: URL without user name and password.
        is_read_only: Whether it can only be pulled from.
    """

    def __init__(self, url: str) -> None:
        """Find the file system of `url`, without connecting to it.

        Raises:
            ReplicaError: The extra is not installed, or the protocol is not supported.
        """
        self.url = re.sub(r"//[^/@]*@", "//", url)
        self._full_url = url
        with self._errors_explained():
            self._fs, root = _filesystem(url)
        self._root = str(root).rstrip("/")
        protocol = self._fs.protocol
        self._protocols = {protocol} if isinstance(protocol, str) else set(protocol)
        self.is_read_only = not self._protocols.isdisjoint(_HTTP)

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file, None if it does not exist."""
        with self._errors_explained():
            self._fs.invalidate_cache()
            try:
                return bytes(self._fs.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, None if it does not exist."""
        with self._errors_explained():
            self._fs.invalidate_cache()
            try:
                return int(self._fs.info(self._path(name))["size"])
            except FileNotFoundError:
                return None

    def names(self, folder: str) -> list[str]:
        """Return the names in a directory, which need not exist."""
        with self._errors_explained():
            self._fs.invalidate_cache()
            try:
                paths = self._fs.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return []
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in paths)

    def send(self, file: Path, name: str) -> None:
        """Send a file in place: readers must not look for it before it is complete."""
        with self._errors_explained():
            self._make_parent(name)
            self._fs.put_file(str(file), self._path(name))
            self._sync(name)
        if (n_bytes := self.size(name)) != file.stat().st_size:
            what = f"{n_bytes} of {file.stat().st_size} bytes of {name} arrived"
            raise ReplicaError(self.url, what, "push again")

    def fetch(self, name: str, file: Path) -> None:
        """Fetch a file; it gets its name here when it is complete."""
        part = file.with_name(f"{file.name}.part")
        with self._errors_explained():
            self._fs.get_file(self._path(name), str(part))
        part.replace(file)

    def write(self, name: str, data: bytes) -> None:
        """Replace a small file atomically: a reader finds the old one or the new one."""
        self.stage(name, data)
        self.commit(name)

    def stage(self, name: str, data: bytes) -> None:
        """Write the new content of a file under a pending name."""
        with self._errors_explained():
            self._make_parent(name)
            self._fs.pipe_file(self._path(name + _PENDING), data)
            self._sync(name + _PENDING)

    def staged(self, name: str) -> bytes | None:
        """Return the content that is staged, None without any."""
        return self.read(name + _PENDING)

    def commit(self, name: str) -> None:
        """Rename the staged content to the file's name."""
        with self._errors_explained():
            self._fs.mv(self._path(name + _PENDING), self._path(name))
            self._sync(name)

    def remove(self, name: str) -> None:
        """Remove a file, or a directory with its content; it need not exist."""
        with self._errors_explained():
            self._fs.invalidate_cache()
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm(self._path(name), recursive=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _make_parent(self, name: str) -> None:
        if self._protocols.isdisjoint(_OBJECT_STORES):
            self._fs.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)

    def _sync(self, name: str) -> None:
        """Force a file and its name to disk where the remote is a local directory."""
        if "file" in self._protocols:
            path = Path(self._path(name))
            fsync_path(path)
            fsync_path(path.parent)

    @contextlib.contextmanager
    def _errors_explained(self) -> Iterator[None]:
        """Turn every error of fsspec's file systems into one clear line."""
        try:
            yield
        except ReplicaError:
            raise
        except ImportError as error:
            raise ReplicaError(self.url, f"is not supported: {_line(error)}", _EXTRA) from error
        except Exception as error:  # each file system has error types of its own
            what = _line(error).replace(self._full_url, self.url)
            raise ReplicaError(self.url, f"cannot be used: {what}") from error


def _filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for `url`, and the path in it."""
    options: dict[str, Any] = {}
    if url.partition(":")[0] in _HTTP:  # aiohttp would stop any download after five minutes
        timeout = importlib.import_module("aiohttp").ClientTimeout(
            total=None, sock_connect=_HTTP_TIMEOUT_SECONDS, sock_read=_HTTP_TIMEOUT_SECONDS
        )
        options["client_kwargs"] = {"timeout": timeout}
    found: tuple[Any, str] = importlib.import_module("fsspec.core").url_to_fs(url, **options)
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
