"""Sending messages: by Apprise to mail, chat and web hooks, or by a command of one's own.

    scheduler ──► python -m cron notify ──► Apprise URLs, a command
        ▲                        │
        └── exit status 0: sent ─┘

A child process sends, so that a server that hangs holds no job up.
"""

import functools
import json
import logging
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import time
from pathlib import Path
from typing import Final

from cron.alarms import Message
from cron.errors import CronError
from cron.settings import check_time_of_day

TEST: Final = Message("test", 1, "this is a test; no action is needed")
_COMMAND_SECONDS: Final = 60.0
_HOST: Final = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?", re.ASCII)
_MAX_PORT: Final = 65535
_POSITIVE: Final = (
    "stale_hours", "min_free_mib", "remind_hours", "max_lag_minutes", "max_behind_minutes",
    "min_certificate_days",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """The section `[notify]`: receivers of messages about what is wrong, and its limits.

    Attributes:
        urls: Apprise URLs: `mailto://…`, `slack://…`, `msteams://…`, `json://…`.
        urls_file: File of further URLs, one a line, `#` before a comment; keeps secrets out of
            the configuration.
        command: Program and arguments that get each message in `MARQUEE_ALARM_NAME`, `_LEVEL`
            and `_TEXT`, prefixed alike.
        quiet_from: Local time, HH:MM, from which only urgent messages are sent; empty: none.
        quiet_until: Local time, HH:MM, until which only urgent messages are sent.
        stale_hours: Hours without a successful refresh from which it is an alarm; twice that is
            urgent.
        min_free_mib: Free space in MiB beside the store below which it is an alarm; half of that
            is urgent.
        remind_hours: Hours after which a failed job is urgent.
        metrics_urls: URLs of the `/metrics` of servers and collectors that are looked at once a
            minute.
        max_lag_minutes: Minutes by which a collector may be behind for ten minutes; six times
            that is urgent.
        max_behind_minutes: Minutes for which a server in `metrics_urls`, here or a replica, may
            serve another generation than the current one; six times that is urgent.
        certificates: Hosts, `host` or `host:port`, whose TLS certificate is looked at once an hour.
        min_certificate_days: Days before a certificate expires from which it is an alarm; a
            seventh of that is urgent.
    """

    urls: tuple[str, ...] = ()
    urls_file: str = ""
    command: tuple[str, ...] = ()
    quiet_from: str = ""
    quiet_until: str = ""
    stale_hours: float = 36.0
    min_free_mib: float = 2048.0
    remind_hours: float = 48.0
    metrics_urls: tuple[str, ...] = ()
    max_lag_minutes: float = 10.0
    max_behind_minutes: float = 60.0
    certificates: tuple[str, ...] = ()
    min_certificate_days: float = 14.0

    def __post_init__(self) -> None:
        for key in ("quiet_from", "quiet_until"):
            if text := getattr(self, key):
                check_time_of_day(key, text)
        if bool(self.quiet_from) != bool(self.quiet_until):
            raise ValueError("quiet_from and quiet_until belong together; set both or none")
        for key in _POSITIVE:
            if not 0 < getattr(self, key) < float("inf"):
                raise ValueError(f"{key} must be more than 0, and finite")
        for url in self.metrics_urls:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"metrics_urls must begin with http:// or https://, not {url!r}")
        for host in self.certificates:
            if not (found := _HOST.fullmatch(host)) or int(found[1] or 1) > _MAX_PORT:
                raise ValueError(f"certificates must be host or host:port, not {host!r}")

    @property
    def is_on(self) -> bool:
        """Whether messages have a receiver."""
        return bool(self.urls or self.urls_file or self.command)

    def is_quiet(self, local: time) -> bool:
        """Return whether a local time lies in the quiet hours, which may pass midnight."""
        if not self.quiet_from:
            return False
        begin, end = time.fromisoformat(self.quiet_from), time.fromisoformat(self.quiet_until)
        if begin <= end:
            return begin <= local < end
        return local >= begin or local < end


def encoded(messages: Sequence[Message]) -> bytes:
    """Return messages as the standard input of `python -m cron notify`."""
    return json.dumps([asdict(message) for message in messages]).encode()


def decoded(text: str) -> list[Message]:
    """Return the messages that `encoded` made a text of; none of an empty one.

    Raises:
        CronError: It is something else.
    """
    try:
        return [Message(**fields) for fields in json.loads(text or "[]")]
    except (ValueError, TypeError) as error:
        remedy = "use --test to send a test message"
        raise CronError("standard input", f"holds no messages: {error}", remedy) from error


def send(settings: NotifySettings, messages: Sequence[Message]) -> list[CronError]:
    """Send each message to every receiver.

    Returns:
        Errors of receivers that did not accept a message that another one accepted.

    Raises:
        CronError: No receiver is set, or a message was accepted by none.
    """
    urls = [*settings.urls, *_urls_of(settings.urls_file)]
    receivers: list[Callable[[Message], None]] = [
        functools.partial(_send_to_url, number, url) for number, url in enumerate(urls, 1)
    ]
    if settings.command:
        receivers.append(functools.partial(_send_to_command, settings.command))
    if not receivers:
        raise CronError("[notify]", "has no receiver", "set urls, urls_file or command")
    errors: list[CronError] = []
    for message in messages:
        found = [error for receive in receivers if (error := _error_of(receive, message))]
        if len(found) == len(receivers):
            raise found[0]
        errors += found
    return errors


def _error_of(receive: Callable[[Message], None], message: Message) -> CronError | None:
    try:
        receive(message)
    except CronError as error:
        return error
    return None


def _urls_of(file: str) -> list[str]:
    if not file:
        return []
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CronError(file, f"cannot be read: {error.strerror}", "set urls_file") from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _send_to_url(number: int, url: str, message: Message) -> None:
    name = f"[notify] URL {number}"  # the URL itself may hold a password
    try:
        import apprise
    except ImportError:
        remedy = "install Marquee with the extra `notify`"
        raise CronError(name, "the package apprise is missing", remedy) from None
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its lines hold URLs
    service = apprise.Apprise()
    if not service.add(url):
        remedy = "see the list of services in Apprise's documentation"
        raise CronError(name, "is not a valid Apprise URL", remedy)
    title = f"Marquee: {message.name}{'' if message.level else ' is over'}"
    if not service.notify(title=title, body=message.text):
        remedy = "check its address and password, and whether the service is up"
        raise CronError(name, "did not accept a message", remedy)


def _send_to_command(command: Sequence[str], message: Message) -> None:
    name, remedy = f"[notify] command {command[0]}", "run it by hand with a test message"
    fields = {"NAME": message.name, "LEVEL": str(message.level), "TEXT": message.text}
    environment = os.environ | {f"MARQUEE_ALARM_{key}": value for key, value in fields.items()}
    try:
        done = subprocess.run(command, env=environment, timeout=_COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CronError(name, f"cannot be run: {error}", remedy) from error
    if done.returncode:
        raise CronError(name, f"ended with exit status {done.returncode}", remedy)
