"""Groups of users that are served worse than all users, by intervals of their quality."""

from collections.abc import Mapping, Sequence
from typing import Any


def is_worse(group: Sequence[float], overall: Sequence[float]) -> bool:
    """Return whether a group is served worse: its interval ends below that of all users.

    Args:
        group: Mean, low and high of the group's quality.
        overall: Mean, low and high of the quality of all users.
    """
    return group[2] < overall[1]


def worse_groups(groups: Sequence[Mapping[str, Any]], overall: Sequence[float]) -> list[str]:
    """Return the names of the groups that are served worse.

    Args:
        groups: Groups with their name, `group`, and their quality, `ndcg`, as a report has them.
        overall: Mean, low and high of the quality of all users.
    """
    return [str(one["group"]) for one in groups if is_worse(one["ndcg"], overall)]
