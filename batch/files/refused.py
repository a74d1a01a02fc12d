r"""Kinds of files that are not read, recognized by their first bytes, with what to do instead.

Rar!\x1a\x07 …          "is a RAR archive; unpack it and name the files in it"
SQLite format 3 …       "is an SQLite database; export its table as CSV or Parquet"
"""

import re
from collections.abc import Collection
from typing import Final, NamedTuple

from batch.errors import UnreadKindError

UNPACK: Final = "unpack it and name the files in it"
_AS_CSV: Final = "save its table as CSV"
_AS_PARQUET: Final = "write its table as Parquet or CSV"
_EXPORT: Final = "export its table as CSV or Parquet"
_DOWNLOAD: Final = "download the data itself: this is a page, perhaps of an error or a login"
_NO_DATA: Final = "give a file of text lines, or Parquet"


class RefusedKind(NamedTuple):
    """A kind of file that is not read.

    Attributes:
        name: Name with its article: "a RAR archive".
        remedy: Advice.
        magic: Pattern of its first bytes.
    """

    name: str
    remedy: str
    magic: re.Pattern[bytes]


_IN_ZIP: Final = (  # a pattern of a member's name that such a file has
    ("an Excel workbook", _AS_CSV, re.compile(r"xl/workbook\.(?:xml|bin)")),
    ("a Word document", _AS_CSV, re.compile(r"word/document\.xml")),
    ("an OpenDocument file", _AS_CSV, re.compile(r"content\.xml")),
    ("a PyTorch file", _AS_PARQUET, re.compile(r"(?:.*/)?data\.pkl")),
    ("a NumPy archive", _AS_PARQUET, re.compile(r"[^/]*\.npy")),
    ("a Java archive", _NO_DATA, re.compile(r"META-INF/MANIFEST\.MF")),
)


def _kind(name: str, remedy: str, magic: bytes) -> RefusedKind:
    return RefusedKind(name, remedy, re.compile(magic, re.DOTALL))


_MARKUP: Final = rb"(?:\xef\xbb\xbf)?\s*(?:<!--.{,2000}?-->\s*)?"

_KINDS: Final = (
    _kind("a RAR archive", UNPACK, rb"Rar!\x1a\x07"),
    _kind("a 7z archive", UNPACK, rb"7z\xbc\xaf\x27\x1c"),
    _kind("an LZ4 file", UNPACK, rb"\x04\x22\x4d\x18"),
    _kind("a snappy file", UNPACK, rb"\xff\x06\x00\x00sNaPpY"),
    _kind("an lzip file", UNPACK, rb"LZIP\x01"),
    _kind("an LZO file", UNPACK, rb"\x89LZO\x00"),
    _kind("a file packed by compress", UNPACK, rb"\x1f\x9d"),
    _kind("a Windows cabinet", UNPACK, rb"MSCF\x00"),
    _kind("an Excel workbook or Office document", _AS_CSV, rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    _kind("an Access database", _EXPORT, rb"\x00\x01\x00\x00Standard (?:Jet|ACE) DB"),
    _kind("an SQLite database", _EXPORT, rb"SQLite format 3\x00"),
    _kind("a DuckDB database", _EXPORT, rb".{8}DUCK[\x00-\xff]\x00"),
    _kind("an LMDB database", _EXPORT, rb".{16}\xde\xc0\xef\xbe"),
    _kind("a PostgreSQL dump", _EXPORT, rb"PGDMP[\x00-\x08]"),
    _kind("a pickle", _AS_PARQUET, rb"\x80[\x02-\x05]"),
    _kind("a NumPy array", _AS_PARQUET, rb"\x93NUMPY"),
    _kind("an HDF5 file", _AS_PARQUET, rb"\x89HDF\r\n\x1a\n"),
    _kind("an Arrow (Feather) file", _AS_PARQUET, rb"ARROW1\x00\x00|FEA1\x00"),
    _kind("an ORC file", _AS_PARQUET, rb"ORC(?=.{0,200}\x00)"),
    _kind("an Avro file", _AS_PARQUET, rb"Obj\x01"),
    _kind("encrypted Parquet", "write it without encryption of its footer", rb"PARE"),
    _kind("an R data file", _AS_CSV, rb"RD[AX][23]\n|[XA]\n\x00\x00\x00[\x02\x03]"),
    _kind("a MATLAB file", _AS_CSV, rb"MATLAB 5\.0 MAT-file"),
    _kind("an SPSS file", _AS_CSV, rb"\$FL[23]@"),
    _kind("a Stata file", _AS_CSV, rb"<stata_dta>"),
    _kind("a PDF", _AS_CSV, rb"%PDF-"),
    _kind("an RTF document", _AS_CSV, rb"\{\\rtf"),
    _kind("HTML", _DOWNLOAD, _MARKUP + rb"<(?i:!doctype html|html|head|body)\b"),
    _kind("XML", _AS_CSV, _MARKUP + rb"<\?xml\b"),
    _kind("a pointer of Git LFS", "fetch the file: git lfs pull", rb"version https://git-lfs\."),
    _kind("an image", _NO_DATA, rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a(?=.{0,6}\x00)"),
    _kind("a program", _NO_DATA, rb"\x7fELF|MZ.{58}.{2}\x00\x00"),
)  # fmt: skip


def check_kind(subject: object, head: bytes) -> None:
    """Refuse a file of a kind that is not read.

    Args:
        subject: Name of the file.
        head: First bytes of the file, unpacked.

    Raises:
        UnreadKindError: It is of such a kind, which the message names.
    """
    for kind in _KINDS:
        if kind.magic.match(head):
            raise UnreadKindError(subject, f"is {kind.name}, which is not read", kind.remedy)


def check_not_document(subject: object, members: Collection[str]) -> None:
    """Refuse a zip archive that is a document or a program of some kind.

    Args:
        subject: Name of the archive.
        members: Names of its members.

    Raises:
        UnreadKindError: It is of a kind that is not read, which the message names.
    """
    for name, remedy, pattern in _IN_ZIP:
        if any(map(pattern.fullmatch, members)):
            raise UnreadKindError(subject, f"is {name}, which is not read", remedy)
