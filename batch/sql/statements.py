"""The statements that read: columns of a table or of a query, in the words of each dialect."""

from functools import cache
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from batch.sql.url import DatabaseUrl

STAGING: Final = "marquee_new_rows"  # table of rows that are about to be merged
_ALIAS: Final = "selected"


@cache
def dialect(name: str) -> Any:
    """Return a dialect of SQLAlchemy, with the parameters of our driver."""
    dialects: dict[str, Any] = {
        "postgresql": postgresql.dialect(paramstyle="numeric_dollar"),  # type: ignore[no-untyped-call]
        "mysql": mysql.dialect(paramstyle="format", is_mariadb=True),
        "sqlite": sqlite.dialect(paramstyle="qmark"),
    }
    return dialects[name]


@cache
def _reading_dialect(name: str) -> Any:
    """Return a dialect without parameters, in which a percent sign is one."""
    return mysql.dialect(paramstyle="qmark", is_mariadb=True) if name == "mysql" else dialect(name)


def names_statement(url: DatabaseUrl) -> str:
    """Return a statement that yields the columns of the table or query, and no row."""
    return _compiled(url, sa.select(sa.text("*")).select_from(_source(url)).limit(0))


def select_statement(
    url: DatabaseUrl,
    columns: pa.Schema,
    where: sa.ColumnElement[bool] | None = None,
    max_rows: int | None = None,
) -> str:
    """Return a statement that yields columns of the table or query.

    Args:
        url: Database with a table or a query.
        columns: Columns to read, as `names_statement` yielded them.
        where: Condition on the rows, None for all.
        max_rows: Maximum number of rows, None for all.
    """
    selected = sa.select(*(_column(field) for field in columns)).select_from(_source(url))
    selected = selected if where is None else selected.where(where)
    return _compiled(url, selected if max_rows is None else selected.limit(max_rows))


def count_statement(url: DatabaseUrl) -> str:
    """Return a statement that counts the rows of the table or query."""
    return _compiled(url, sa.select(sa.func.count()).select_from(_source(url)))


def time_limit_statement(dialect_name: str, seconds: int) -> str:
    """Return a statement by which the server ends later ones that take too long.

    It is empty for SQLite, whose statements end with their process. MySQL and MariaDB name the
    limit differently, and each takes what is in the other one's comment for a comment.
    """
    in_mysql = f"/*!50708 , max_execution_time = {seconds * 1000} */"
    in_mariadb = f"/*M!100101 , max_statement_time = {seconds} */"
    limits = {
        "postgresql": f"SET statement_timeout = {seconds * 1000}",
        "mysql": f"SET @marquee_seconds = {seconds} {in_mysql} {in_mariadb}",
        "sqlite": "",
    }
    return limits[dialect_name]


def next_bound_statement(url: DatabaseUrl, column: str, after: object, n_rows: int) -> str:
    """Return a statement that yields the value `n_rows` rows behind `after` in a column's order.

    Args:
        url: Database with a table or a query.
        column: Column whose order counts.
        after: Value behind which counting begins; None for the begin.
        n_rows: Number of rows.
    """
    by: sa.ColumnElement[Any] = sa.column(column)
    bound = sa.select(by).select_from(_source(url)).order_by(by).offset(n_rows).limit(1)
    bound = bound.where(by.is_not(None)) if after is None else bound.where(by > after)
    return _compiled(url, bound)


def key_statement(url: DatabaseUrl) -> str:
    """Return a statement that yields the first column of a MariaDB table's primary key."""
    schema, _, name = url.table.rpartition(".")
    names = ("column_name", "table_schema", "table_name", "index_name", "seq_in_index")
    keys = sa.table("statistics", *map(sa.column, names), schema="information_schema")
    return _compiled(
        url,
        sa.select(keys.c.column_name).where(
            keys.c.table_schema == (schema or url.database),
            keys.c.table_name == name,
            keys.c.index_name == "PRIMARY",
            keys.c.seq_in_index == 1,
        ),
    )


def exists_statement(url: DatabaseUrl, name: str) -> str:
    """Return a statement that counts the tables of a name in the database of the connection."""
    if url.dialect == "sqlite":
        known = sa.table("sqlite_master", sa.column("name"))
        return _compiled(url, sa.select(sa.func.count()).where(known.c.name == name))
    columns: tuple[sa.ColumnClause[str], ...] = (sa.column("table_name"), sa.column("table_schema"))
    tables = sa.table("tables", *columns, schema="information_schema")
    function = "database()" if url.dialect == "mysql" else "current_schema()"
    schema: sa.ColumnElement[str] = sa.literal_column(function)
    is_there = (tables.c.table_name == name, tables.c.table_schema == schema)
    return _compiled(url, sa.select(sa.func.count()).where(*is_there))


def between(column: str, after: object, until: object) -> sa.ColumnElement[bool] | None:
    """Return the condition that a column lies behind one value and not behind another.

    Rows without a value belong to the part that has no upper bound.

    Args:
        column: Name of the column.
        after: Exclusive lower bound, None for none.
        until: Inclusive upper bound, None for none.
    """
    by: sa.ColumnElement[Any] = sa.column(column)
    if until is None:
        return None if after is None else sa.or_(by > after, by.is_(None))
    return by <= until if after is None else sa.and_(by > after, by <= until)


def _source(url: DatabaseUrl) -> sa.FromClause | sa.TextClause:
    if url.table:
        schema, _, name = url.table.rpartition(".")
        return sa.table(name, schema=schema or None)
    query = url.query.replace("\\", "\\\\").replace(":", "\\:")
    return sa.text(f"({query}\n) AS {_ALIAS}")  # the line ends a comment at the query's end


def _column(field: pa.Field) -> sa.ColumnElement[Any]:
    column: sa.ColumnElement[Any] = sa.column(field.name)
    is_uuid = isinstance(field.type, pa.UuidType)
    return sa.cast(column, sa.Text).label(field.name) if is_uuid else column


def _compiled(url: DatabaseUrl, statement: sa.ClauseElement) -> str:
    options = {"literal_binds": True}
    return str(statement.compile(dialect=_reading_dialect(url.dialect), compile_kwargs=options))
