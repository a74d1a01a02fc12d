"""A copy of a store at any URL that fsspec supports.

    /mnt/replica   file:///mnt/replica   s3://bucket/marquee   http://host/marquee
        snapshots/000042/ … SHA256SUMS        SHA256SUMS.pending during a push
        manifests/000037.json
        replicas/node-1.json                  reports, see `store/replica_status.py`
        TAKEDOWN  JOURNAL  CURRENT

The layout is that of a store, so such a directory can be served directly. Data
files are sent in place; the files through which readers find them are staged as
`NAME.pending` and renamed. fsspec is imported here alone, when a `Remote` is made.
Keys and endpoints come from the environment (`AWS_ACCESS_KEY_ID`,
`AWS_ENDPOINT_URL`, `FSSPEC_S3_…`), not from the URL.

A remote may be hostile. Every file is read up to a limit. HTTP answers are neither
unpacked nor followed to another host. Errors name what failed, never text of an answer.
"""

import contextlib
import hashlib
import importlib
import ipaddress
import os
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from store.durable import fsync_path
from store.errors import IncompleteError, OversizeError, ReplicaError
from store.layout import REPORT_FILES
from store.parse import MAX_CHECKSUMS_BYTES, MAX_EXPERIMENT_BYTES
from store.progress import Advance, Progress, silent
from store.report_files import MAX_REPORT_CHECKSUMS_BYTES, REPORT_CHECKSUMS
from store.temporary import temporary_folder
from store.transfer import Transfer

CURRENT: Final = "CURRENT"
EXPERIMENT: Final = "EXPERIMENT"
JOURNAL: Final = "JOURNAL"
MAX_BYTES: Final = {  # of the files whose size is not known before they are read
    "CURRENT": 64,
    "EXPERIMENT": MAX_EXPERIMENT_BYTES,
    "JOURNAL": 1 << 28,
    "MANIFEST.json": 1 << 24,
    "SHA256SUMS": MAX_CHECKSUMS_BYTES,
    "TAKEDOWN": 1 << 24,
    REPORT_CHECKSUMS: MAX_REPORT_CHECKSUMS_BYTES,
    **dict.fromkeys(REPORT_FILES, 1 << 26),
}

_EXTRA: Final = "install the extra `replica`: pip install 'fsspec[http,s3]' 'aiohttp>=3.12'"
_PENDING: Final = ".pending"
_HTTP_TIMEOUT_SECONDS: Final = 60  # for a connection, and for each read
_S3_CONNECT_SECONDS: Final = 10  # s3fs tries five times

# They have no directories to make, and fsspec would make a bucket of a mistyped name.
_OBJECT_STORES: Final = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"}
_HTTP: Final = {"http", "https"}
_S3: Final = {"s3", "s3a"}
_HTTP_OK: Final = 200
_HTTP_NOT_FOUND: Final = 404
_HTTP_REDIRECTS: Final = {301, 302, 303, 307, 308}
_CHUNK_BYTES: Final = 1 << 20
_MIN_BYTES_PER_SECOND: Final = 1024
_TEXTS_MADE_HERE: Final = {  # errors whose text does not come from the remote
    "ClientConnectorDNSError",
    "ClientConnectorError",
    "EndpointConnectionError",
    "NoCredentialsError",
}


class Remote:
    """The remote side of a push or a pull; names are relative to its URL.

    Every method raises `ReplicaError` if the remote cannot be reached or refuses
    the operation; a missing file is not an error.

    Attributes:
        url: URL without user name, password and query.
        progress: What shows the progress of each data file.
        is_read_only: Whether it can only be pulled from.
        is_plain_http: Whether what is pulled can be changed on its way from another host.
    """

    def __init__(self, url: str, progress: Progress = silent) -> None:
        """Find the file system of `url`, without connecting to it.

        Args:
            url: A directory, or a URL of fsspec.
            progress: What shows the progress of each data file.

        Raises:
            ReplicaError: The extra is not installed, or the protocol is not supported.
        """
        self.url = _without_credentials(url)
        self.progress = progress
        with self._errors_explained():
            try:
                self._fs, root = _filesystem(url)
            except ValueError as error:
                what = " ".join(str(error).split()).replace(url, self.url)
                raise ReplicaError(self.url, f"cannot be used: {what}") from error
        protocol = self._fs.protocol
        self._protocols = {protocol} if isinstance(protocol, str) else set(protocol)
        self.is_read_only = not self._protocols.isdisjoint(_HTTP)
        self.is_plain_http = url.startswith("http:") and not _is_loopback(url)
        self._root, self._query = str(root), ""
        if self.is_read_only:  # a token in the query belongs behind each file's name
            self._root, mark, query = self._root.partition("#")[0].partition("?")
            self._query = mark + query
        self._root = self._root.rstrip("/")

    def read(self, name: str, max_bytes: int) -> bytes | None:
        """Return the content of a small file, None if it does not exist."""
        with temporary_folder() as folder, self._errors_explained():
            self._fs.invalidate_cache()
            try:
                self._copy(name, folder / "file", max_bytes)
            except FileNotFoundError:
                return None
            return (folder / "file").read_bytes()

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
        shown = self.progress(name, file.stat().st_size)
        with self._errors_explained(), shown as advance:
            self._make_parent(name)
            self._fs.put_file(str(file), self._path(name), callback=_callback(advance))
            self._sync(name)
        if (n_bytes := self.size(name)) != file.stat().st_size:
            what = f"{n_bytes} of {file.stat().st_size} bytes of {name} arrived"
            raise ReplicaError(self.url, what, "push again")

    def copy(self, name: str, to: str) -> None:
        """Copy a file at the remote, in place as `send` does."""
        with self._errors_explained():
            self._make_parent(to)
            self._fs.cp_file(self._path(name), self._path(to))
            self._sync(to)

    def version(self, name: str) -> str | None:
        """Return a digest of size, time and tag of a file, None if it does not exist."""
        with self._errors_explained():
            self._fs.invalidate_cache()
            try:
                info = self._fs.info(self._path(name))
            except FileNotFoundError:
                return None
        return hashlib.sha256(repr(sorted(info.items())).encode()).hexdigest()

    def fetch(
        self,
        name: str,
        file: Path,
        max_bytes: int,
        min_bytes: int = 0,
        transfer: Transfer | None = None,
    ) -> None:
        """Fetch a file; it gets its name here when it is complete.

        Args:
            name: Name at the remote.
            file: Path here.
            max_bytes: Largest size that it may have.
            min_bytes: Smallest size that it may have.
            transfer: Transfer that the file is a part of; None for a small file.

        Raises:
            IncompleteError: It is smaller at the remote than it may be.
            ReplicaError: It is missing, larger than it may be, or cut on the way, too.
        """
        part = file.with_name(f"{file.name}.part")
        try:
            with self._errors_explained():
                self._copy(name, part, max_bytes, transfer)
            self._check_complete(name, part.stat().st_size, min_bytes)
        except ReplicaError:
            part.unlink(missing_ok=True)
            raise
        part.replace(file)

    def _check_complete(self, name: str, n_bytes: int, min_bytes: int) -> None:
        if n_bytes < min_bytes:
            what = f"{n_bytes:,} of {min_bytes:,} bytes arrived"
            is_cut_on_the_way = self.size(name) != n_bytes
            kind = ReplicaError if is_cut_on_the_way else IncompleteError
            raise kind(f"{self.url}/{name}", what, "pull again")

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

    def staged(self, name: str, max_bytes: int) -> bytes | None:
        """Return the content that is staged, None without any."""
        return self.read(name + _PENDING, max_bytes)

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
        return f"{self._root}/{name}{self._query}"

    def _copy(
        self, name: str, file: Path, max_bytes: int, transfer: Transfer | None = None
    ) -> None:
        """Copy a file here, and stop where it is too large."""
        limit = TransferLimit(f"{self.url}/{name}", max_bytes, transfer=transfer)
        if "file" not in self._protocols:
            options = {}
            if transfer and transfer.is_limited and not self._protocols.isdisjoint(_S3):
                options["max_concurrency"] = 1  # else ten pieces of 50 MB arrive at a time
            try:
                self._fs.get_file(self._path(name), str(file), callback=limit, **options)
            except _HttpNotFoundError:
                raise FileNotFoundError(name) from None
            return
        path = Path(self._path(name))
        if not path.is_file():
            raise FileNotFoundError(path)
        limit.set_size(path.stat().st_size)
        with path.open("rb") as source, file.open("wb") as target:
            while chunk := source.read(_CHUNK_BYTES):
                limit.relative_update(len(chunk))
                target.write(chunk)

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
            what = " ".join(str(error).split())
            raise ReplicaError(self.url, f"is not supported: {what}", _EXTRA) from error
        except Exception as error:  # each file system has error types of its own
            raise ReplicaError(self.url, f"cannot be used: {_reason(error)}") from error


class _HttpNotFoundError(Exception):
    """HTTP status 404; aiohttp would wrap an OSError of a middleware."""


class TransferLimit:
    """Stops a copy that is too large or too slow; fsspec calls it for each piece that arrived."""

    def __init__(
        self,
        where: str,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        transfer: Transfer | None = None,
    ) -> None:
        """Begin to measure.

        Args:
            where: URL of the file, for messages.
            max_bytes: Size that it may have.
            clock: Function that returns the time in seconds.
            transfer: Transfer that the file is a part of, which counts each piece.
        """
        self._transfer = transfer
        self._where = where
        self._max_bytes = max_bytes
        self._clock = clock
        self._began_at = clock()
        self._n_bytes = 0

    def set_size(self, n_bytes: int | None) -> None:
        """Check the size that the remote announces, if it does."""
        if n_bytes is not None and n_bytes > self._max_bytes:
            what = f"is larger than the {self._max_bytes:,} bytes that it may have"
            raise OversizeError(self._where, what)

    def relative_update(self, n_bytes: int = 1) -> None:
        """Check the size of all pieces, and their average rate after a minute."""
        self._n_bytes += n_bytes
        self.set_size(self._n_bytes)
        seconds = self._clock() - self._began_at
        if seconds > _HTTP_TIMEOUT_SECONDS and self._n_bytes < seconds * _MIN_BYTES_PER_SECOND:
            raise ReplicaError(self._where, f"sent {self._n_bytes:,} bytes in {seconds:.0f} s")
        if self._transfer:
            self._transfer.add(n_bytes)


def _callback(advance: Advance) -> Any:
    """Return what fsspec calls with the number of bytes that were sent so far."""
    n_before = 0

    def sent(_size: int | None, n_bytes: int, **_: object) -> None:
        nonlocal n_before
        advance(n_bytes - n_before)
        n_before = n_bytes

    return importlib.import_module("fsspec.callbacks").Callback(hooks={"sent": sent})


def _without_credentials(url: str) -> str:
    """Return `url` as it may be shown: without user, password, query and fragment.

    Raises:
        ReplicaError: It is not a valid URL, or one that chains several.
    """
    if "://" not in url:
        return url
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port  # raises ValueError if it is not a number: a `/` in a password
    except ValueError:
        parts = None
    if parts is None or not parts.scheme or "::" in url.partition("://")[0]:
        raise ReplicaError("URL", "is not valid", "write SCHEME://HOST/PATH, one alone")
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()


def _is_loopback(url: str) -> bool:
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for `url`, and the path in it."""
    protocol = url.partition(":")[0]
    options = _http_options(url) if protocol in _HTTP else {}
    if protocol in _S3:
        options = _s3_options(protocol)
    found: tuple[Any, str] = importlib.import_module("fsspec.core").url_to_fs(url, **options)
    return found


def _s3_options(protocol: str) -> dict[str, Any]:
    """Return a shorter time-out of connections, unless `FSSPEC_S3_CONFIG_KWARGS` has one."""
    configured = importlib.import_module("fsspec.config").conf.get(protocol, {})
    config = {"connect_timeout": _S3_CONNECT_SECONDS, **configured.get("config_kwargs", {})}
    return {"config_kwargs": config}


def _http_options(url: str) -> dict[str, Any]:
    # aiohttp would stop any download after five minutes
    timeout = importlib.import_module("aiohttp").ClientTimeout(
        total=None, sock_connect=_HTTP_TIMEOUT_SECONDS, sock_read=_HTTP_TIMEOUT_SECONDS
    )
    client = {
        "timeout": timeout,
        "headers": {"Accept-Encoding": "identity"},
        "auto_decompress": False,  # a small answer could unpack to any size
        "middlewares": (_http_check(url),),
    }
    return {"client_kwargs": client, "skip_instance_cache": True}


def _http_check(url: str) -> Callable[[Any, Callable[[Any], Awaitable[Any]]], Awaitable[Any]]:
    """Return a middleware of aiohttp that refuses other hosts, statuses and encodings."""
    shown = _without_credentials(url)
    origin = importlib.import_module("yarl").URL(url).origin()

    async def check(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        if request.url.origin() != origin:  # aiohttp comes here for each redirect
            raise ReplicaError(shown, "redirects to another host", "pull from that one's URL")
        answer = await handler(request)
        try:
            _check_answer(shown, answer)
        except (_HttpNotFoundError, ReplicaError):
            answer.close()
            raise
        return answer

    return check


def _check_answer(shown: str, answer: Any) -> None:
    if answer.status == _HTTP_NOT_FOUND:
        raise _HttpNotFoundError
    is_redirect = answer.status in _HTTP_REDIRECTS and "Location" in answer.headers
    if answer.status != _HTTP_OK and not is_redirect:
        raise ReplicaError(shown, f"HTTP status {answer.status}")
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ReplicaError(shown, "compresses its answers", "turn that off at the server")


def _reason(error: Exception) -> str:
    """Describe an error of a file system without the text that a remote put in it."""
    kind = type(error).__name__
    if kind in _TEXTS_MADE_HERE:
        return " ".join(str(error).split())
    answer = getattr(error.__cause__, "response", None)  # botocore's
    if isinstance(answer, dict):
        return f"{kind}, HTTP status {answer.get('ResponseMetadata', {}).get('HTTPStatusCode')}"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return kind
