"""Passwords of databases: from the environment or from a file, never from a URL.

    MARQUEE_BATCH_DATABASE_PASSWORD=…            one password for all databases
    [batch] database_password_file               lines like those of PostgreSQL's .pgpass:
        db.example.org:5432:shop:marquee:…       host:port:database:user:password
        *:*:*:reader:…                           `*` stands for any

Without either, the drivers' own ways remain: `PGPASSWORD`, `.pgpass` and `MYSQL_PWD`.
"""

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from batch.errors import InputError
from batch.sql.url import DatabaseUrl

VARIABLE: Final = "MARQUEE_BATCH_DATABASE_PASSWORD"
_DEFAULT_PORTS: Final = {"postgresql": 5432, "mysql": 3306}
_FIELD: Final = re.compile(r"((?:\\.|[^:\\])*)(?::|$)")
_N_FIELDS: Final = 5


def password_of(url: DatabaseUrl, file: str, environ: Mapping[str, str]) -> str:
    """Return the password of a database, empty if none is given here.

    Args:
        url: Database.
        file: `[batch] database_password_file`; empty without one.
        environ: Environment.

    Raises:
        InputError: The file is missing, can be read by others, or has a line of another form.
    """
    if url.dialect == "sqlite":
        return ""
    if password := environ.get(VARIABLE):
        return password
    if file and (password := _from_file(url, Path(file))):
        return password
    return environ.get("MYSQL_PWD", "") if url.dialect == "mysql" else ""


def _from_file(url: DatabaseUrl, file: Path) -> str:
    port = str(url.port or _DEFAULT_PORTS[url.dialect])
    wanted = (url.host or "localhost", port, url.database, url.user)
    try:
        if stat.S_IMODE(file.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            raise InputError(file, "passwords can be read by others", f"run `chmod 600 {file}`")
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problem = f"passwords cannot be read: {getattr(error, 'strerror', 'not UTF-8')}"
        raise InputError(file, problem, "check [batch] database_password_file") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [re.sub(r"\\(.)", r"\1", field) for field in _FIELD.findall(line)][:_N_FIELDS]
        if len(fields) < _N_FIELDS:
            problem = f"line {number} is not of the form host:port:database:user:password"
            raise InputError(file, problem, "write `*` for any host, port, database or user")
        if all(name in ("*", value) for name, value in zip(fields, wanted, strict=False)):
            return fields[-1]
    return ""
