"""Forgetting: deletes the rows of users from the tables that ingest wrote."""

from collections.abc import Callable, Collection

from batch.sql.connection import connect
from batch.sql.source import DatabaseInput


def forget_rows(
    source: DatabaseInput, user_ids: Collection[str], on_found: Callable[[str], object]
) -> dict[str, int] | None:
    """Delete the rows of users from a table that ingest wrote, in one transaction.

    Args:
        source: Table or query.
        user_ids: Users to forget.
        on_found: Function that is called with each user who has rows.

    Returns:
        Number of deleted rows by type of event; None for a query or a table of others, which
        is left as it is.

    Raises:
        DatabaseError: They cannot be deleted; the table is unchanged.
    """
    columns = source.columns()
    from batch.sql.tables import event_table_of, of_user_statements

    table = event_table_of(columns.names)
    if table is None or source.url.table != table.kind.name:
        return None
    n_deleted = 0
    with connect(source.url, source.password) as connection:
        for user_id in user_ids:
            count, delete = of_user_statements(table, user_id, source.url.dialect)
            if n_rows := int(str(connection.value(count))):
                on_found(user_id)
                connection.execute(delete)
                n_deleted += n_rows
        connection.commit()
    return {table.kind.name: n_deleted} if n_deleted else {}
