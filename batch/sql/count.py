"""The command `python -m batch rows`: how many rows tables and queries have now.

    python -m cron ──► python -m batch rows URL … ──► SELECT count(*), one a table ──► their sum

The server itself ends a count that takes too long: it would go on after this process.
"""

import argparse
from pathlib import Path
from typing import Any

from batch.errors import InputError
from batch.settings import BatchSettings
from batch.sql.connection import connect
from batch.sql.source import DatabaseInput, database_inputs
from batch.sql.url import is_database_url

_EXAMPLE = """example:
  python -m batch rows 'postgresql://reader@db/shop?table=views'
  python -m batch rows             those of the databases in [batch] events

The scheduler compares this number with that of the last refresh: [cron.jobs.refresh] data.
Exit status: 0 done, 1 a database cannot be read, 2 wrong usage."""


def add_rows(verbs: Any) -> None:
    """Add the verb `rows` to the parser of `python -m batch`."""
    about = "Print the number of rows of tables and queries."
    verb = verbs.add_parser(
        "rows",
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("url", nargs="*", metavar="URL", help="default: those in [batch] events")
    verb.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS",
        help="time after which the server ends a count; default: none",
    )  # fmt: skip
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.set_defaults(run=_run)


def n_rows(source: DatabaseInput, timeout_seconds: int | None = None) -> int:
    """Return the number of rows of a table or query.

    Args:
        source: Table or query.
        timeout_seconds: Time after which the server ends the count; None for none.

    Raises:
        DatabaseError: They cannot be counted, or not in this time.
    """
    with connect(source.url, source.password) as connection:
        from batch.sql.statements import count_statement, time_limit_statement

        if timeout_seconds and (limit := time_limit_statement(source.url.dialect, timeout_seconds)):
            connection.execute(limit)
        return int(str(connection.value(count_statement(source.url))))


def _run(arguments: argparse.Namespace, settings: BatchSettings) -> str:
    urls = arguments.url or [name for name in settings.events if is_database_url(name)]
    if not urls:
        raise InputError("[batch] events", "names no database", "name one: rows sqlite:///x.db")
    for url in urls:
        if not is_database_url(url):
            remedy = "write e.g. sqlite:///events.db or postgresql://reader@db/events"
            raise InputError(url, "is not the URL of a database", remedy)
    sources = [source for url in urls for source in database_inputs(url, settings)]
    return str(sum(n_rows(source, arguments.timeout) for source in sources))


def _seconds(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds, 1 or more")
    return int(text)
