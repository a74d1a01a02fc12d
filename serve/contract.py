"""Facts that nginx's configuration and the processes behind nginx have in common."""

from typing import Final

PROBLEM_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}  # of pages and problems: no page may frame them or take them for another type

VERIFYING_ACTIONS: Final = ("rollback", "pin", "unpin")  # these verify snapshots, for minutes even
