"""Signatures of what a replica is pulled from: Ed25519, in a text file beside each file.

    SHA256SUMS.sig          marquee-signature 1
    TAKEDOWN.sig            file TAKEDOWN
    CURRENT.sig             serial 1795802400000
                            sha256 9f86d081…    `none` if the file does not exist
                            key 11qYAYKx…       public key, base64
                            signature 5Pl2…     over all lines above, base64

The file's name is signed with the content, so a signature is not valid for another
file or generation. A serial number is the time of signing in milliseconds, or that
of the last signature plus 1; a replica refuses one that is lower than the last
that it accepted. `cryptography` is imported here alone, when a key is used.
"""

import base64
import binascii
import hashlib
import importlib
import os
import re
import time
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from store.errors import ConfigError, ReplicaError, WriteError

SUFFIX: Final = ".sig"
MAX_SIGNATURE_BYTES: Final = 2048

_EXTRA: Final = "install the extra `replica`: pip install cryptography"
_MAKE_A_KEY: Final = "make one with `python -m store keygen FILE`"
_FORM: Final = re.compile(
    r"(marquee-signature 1\nfile ([\w./-]{1,200})\nserial (\d{1,15})\n"
    r"sha256 ([0-9a-f]{64}|none)\nkey ([\w+/]{43}=)\n)signature ([\w+/]{86}==)\n",
    re.ASCII,
)
_KEY_BYTES: Final = 32
_MAX_KEY_FILE_BYTES: Final = 16_384
_MODE: Final = 0o600  # of a private key


@dataclass(frozen=True, slots=True)
class Signed:
    """What a valid signature is over.

    Attributes:
        file: Name of the file at the remote.
        serial: Serial number; a larger one is newer.
        sha256: SHA-256 of the content in hexadecimal, `none` for a missing file.
    """

    file: str
    serial: int
    sha256: str

    def covers(self, file: str, data: bytes | None) -> bool:
        """Return whether the signature is over this content of this file."""
        return (self.file, self.sha256) == (file, _digest(data))


class SigningKey:
    """A private key that signs what is pushed.

    Attributes:
        public: Public key in base64, as in `trusted_keys`.
    """

    def __init__(self, path: Path) -> None:
        """Read the key from a PEM file that its owner alone may read.

        Raises:
            ConfigError: The file is missing, readable by others, or not such a key.
            ReplicaError: The extra is not installed.
        """
        serialization = _serialization()
        data = _read_key_file(path)
        if path.stat().st_mode & 0o077:
            raise ConfigError(path, "can be read by other users", f"run `chmod 600 {path}`")
        try:
            self._key = serialization.load_pem_private_key(data, password=None)
            self.public = _text_of(self._key.public_key())
        except (ValueError, TypeError, AttributeError) as error:
            what = "is not an unencrypted Ed25519 private key in PEM"
            raise ConfigError(path, what, _MAKE_A_KEY) from error

    def sign(self, file: str, serial: int, data: bytes | None) -> bytes:
        """Return the content of the signature file.

        Args:
            file: Name of the file at the remote.
            serial: Serial number.
            data: Content of the file; None if it does not exist.
        """
        statement = (
            f"marquee-signature 1\nfile {file}\nserial {serial}\n"
            f"sha256 {_digest(data)}\nkey {self.public}\n"
        )
        signature = base64.b64encode(self._key.sign(statement.encode())).decode()
        return f"{statement}signature {signature}\n".encode()


def next_serial(last: int) -> int:
    """Return the serial number after `last`: the time now in milliseconds, if that is larger."""
    return max(time.time_ns() // 1_000_000, last + 1)


def read_signature(where: str, text: bytes | None, trusted: Set[str]) -> Signed:
    """Return what a signature file is over, after checking it.

    Args:
        where: URL of the file that it signs, for messages.
        text: Content of the signature file; None if it does not exist.
        trusted: Public keys in base64.

    Raises:
        ReplicaError: It is missing or not valid, or its key is not trusted.
    """
    if text is None:
        raise ReplicaError(where, "is not signed", "set `[store] signing_key` and push again")
    found = _FORM.fullmatch(text.decode("latin-1"))
    if found is None:
        raise ReplicaError(where, "its signature file cannot be read", "push again")
    statement, file, serial, digest, key, signature = found.groups()
    if key not in trusted:
        remedy = "add the public key to `[store] trusted_keys` if it is yours"
        raise ReplicaError(where, "is signed with a key that is not trusted", remedy)
    try:
        public = _public_key(base64.b64decode(key))
        public.verify(base64.b64decode(signature), statement.encode())
    except (ValueError, _invalid_signature()) as error:
        raise ReplicaError(where, "its signature is not valid", "push again") from error
    return Signed(file, int(serial), digest)


def load_trusted_keys(entries: Iterable[str]) -> frozenset[str]:
    """Return the public keys of `[store] trusted_keys` in base64.

    Args:
        entries: Public keys in base64, or names of their PEM files.

    Raises:
        ConfigError: An entry is neither.
        ReplicaError: The extra is not installed.
    """
    return frozenset(_trusted_key(entry) for entry in entries)


def make_key(path: Path) -> str:
    """Make a private key, and its public key in `PATH.pub`.

    Returns:
        Public key in base64.

    Raises:
        WriteError: A file cannot be written, or exists.
        ReplicaError: The extra is not installed.
    """
    coding = _serialization()
    key = importlib.import_module(
        "cryptography.hazmat.primitives.asymmetric.ed25519"
    ).Ed25519PrivateKey.generate()
    private = key.private_bytes(
        coding.Encoding.PEM, coding.PrivateFormat.PKCS8, coding.NoEncryption()
    )
    public = key.public_key().public_bytes(
        coding.Encoding.PEM, coding.PublicFormat.SubjectPublicKeyInfo
    )
    _write_new(path, private, _MODE)
    _write_new(path.with_name(f"{path.name}.pub"), public, 0o644)
    return _text_of(key.public_key())


def _digest(data: bytes | None) -> str:
    return "none" if data is None else hashlib.sha256(data).hexdigest()


def _trusted_key(entry: str) -> str:
    try:
        if len(base64.b64decode(entry, validate=True)) == _KEY_BYTES:
            _public_key(base64.b64decode(entry))
            return entry
    except (binascii.Error, ValueError):
        pass  # the name of a file
    path = Path(entry)
    try:
        return _text_of(_serialization().load_pem_public_key(_read_key_file(path)))
    except (ValueError, AttributeError) as error:
        what = "is neither an Ed25519 public key in PEM nor 32 bytes in base64"
        raise ConfigError(path, what, _MAKE_A_KEY) from error


def _read_key_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise ConfigError(path, f"cannot be read: {error.strerror}", _MAKE_A_KEY) from error


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        raise WriteError(path, what, "name a new file in a directory of yours") from error


def _text_of(public_key: Any) -> str:
    """Return an Ed25519 public key in base64.

    Raises:
        ValueError: It is a key of another kind.
    """
    kinds = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
    if not isinstance(public_key, kinds.Ed25519PublicKey):
        raise ValueError("not an Ed25519 key")  # noqa: TRY004 - one kind of wrong file
    return base64.b64encode(public_key.public_bytes_raw()).decode()


def _public_key(raw: bytes) -> Any:
    _serialization()
    kinds = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
    return kinds.Ed25519PublicKey.from_public_bytes(raw)


def _invalid_signature() -> type[Exception]:
    kind: type[Exception] = importlib.import_module("cryptography.exceptions").InvalidSignature
    return kind


def _serialization() -> Any:
    try:
        return importlib.import_module("cryptography.hazmat.primitives.serialization")
    except ImportError as error:
        raise ReplicaError("signatures", "are not supported", _EXTRA) from error
