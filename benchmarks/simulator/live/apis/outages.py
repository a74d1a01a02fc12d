"""Kinds of outage of the APIs."""

from typing import Final

OUTAGES: Final = ("", "503", "hang", "refused")
