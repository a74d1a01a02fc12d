"""Alarms: a message once, another when it gets worse, and a last one when it is over.

    condition         level 0 (well) … 1 … 2      var/cron/ALARMS
    refresh failed    ────────────▁▁▁▁▁▁▁▔▔▔▁▁▁▁▁▁▁▁▁──────
    messages                      ▲     ▲         ▲ over

A message is recorded as sent only afterwards. In quiet hours those of level 1 wait; for what
is over before they end no message is sent at all.
"""

import json
import logging
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from store.durable import replace_durable

URGENT: Final = 2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that may be wrong.

    Attributes:
        name: Name, the same each time: `job refresh`, `disk`.
        level: 0 if all is well, else 1 or more; larger is worse.
        text: What is wrong and what to do, one line.
    """

    name: str
    level: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A condition that is, or was, wrong.

    Attributes:
        level: Current level.
        sent_level: Highest level that a message was sent for; 0 if none was.
        text: Text of the highest level.
        since: When it began, ISO 8601.
    """

    level: int
    sent_level: int
    text: str
    since: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message about an alarm.

    Attributes:
        name: Name of the condition.
        level: Level of the alarm; 0 for its end.
        text: Text for people.
    """

    name: str
    level: int
    text: str


class Alarms:
    """The alarms of a service, kept in a file.

    Args:
        file: File of the alarms.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._alarms = _read(file)

    def update(
        self, conditions: Iterable[Condition], now: datetime, names: Collection[str] | None = None
    ) -> None:
        """Record the conditions of now.

        Args:
            conditions: Conditions that were looked at.
            now: Current time.
            names: Names of all conditions that there are; an alarm of another name, such as that
                of a removed job, is over. None for any.
        """
        before = dict(self._alarms)
        for condition in conditions:
            self._record(condition, now)
        if names is not None:
            for name in before.keys() - names:
                self._record(Condition(name, 0), now)
        if self._alarms != before:
            self._write()

    def levels(self) -> dict[str, int]:
        """Return the level of each condition that is wrong now; any thread may call this."""
        return {name: alarm.level for name, alarm in self._alarms.copy().items() if alarm.level}

    def messages(self, *, is_quiet: bool) -> list[Message]:
        """Return the messages that are due.

        Args:
            is_quiet: Whether only urgent messages are sent.
        """
        found = []
        for name, alarm in self._alarms.items():
            if alarm.level > alarm.sent_level and (alarm.level >= URGENT or not is_quiet):
                found.append(Message(name, alarm.level, alarm.text))
            elif not alarm.level and not is_quiet:
                found.append(Message(name, 0, f"over, since {alarm.since}: {alarm.text}"))
        return found

    def sent(self, messages: Iterable[Message]) -> None:
        """Record that messages were sent."""
        for message in messages:
            alarm = self._alarms.get(message.name)
            if alarm is None:
                continue
            if message.level:
                level = max(alarm.sent_level, message.level)
                self._alarms[message.name] = replace(alarm, sent_level=level)
            elif not alarm.level:
                del self._alarms[message.name]
        self._write()

    def _record(self, condition: Condition, now: datetime) -> None:
        alarm = self._alarms.get(condition.name)
        if alarm is None:
            if condition.level:
                at = now.isoformat(timespec="seconds")
                self._alarms[condition.name] = Alarm(condition.level, 0, condition.text, at)
        elif not condition.level and not alarm.sent_level:
            del self._alarms[condition.name]
        elif condition.level > alarm.level:
            text = condition.text
            self._alarms[condition.name] = replace(alarm, level=condition.level, text=text)
        elif condition.level < alarm.level:
            self._alarms[condition.name] = replace(alarm, level=condition.level)

    def _write(self) -> None:
        alarms = {name: asdict(alarm) for name, alarm in self._alarms.items()}
        try:
            replace_durable(self._file, json.dumps(alarms) + "\n")
        except OSError as error:
            _log.error("%s: cannot be written: %s", self._file, error)


def _read(file: Path) -> dict[str, Alarm]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {
            name: Alarm(int(a["level"]), int(a["sent_level"]), str(a["text"]), str(a["since"]))
            for name, a in found.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        _log.warning("%s: unreadable, starting without alarms: %s", file, error)
        return {}
