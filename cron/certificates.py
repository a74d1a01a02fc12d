"""What may be wrong with TLS certificates: one expires soon, or is not valid.

    hosts of `[notify] certificates` ─► handshake once an hour ─► `notAfter` ─► condition

A host that cannot be reached is a condition after a day: its certificate may expire unseen.
"""

import socket
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from cron.alarms import URGENT, Condition

_LOOK: Final = timedelta(hours=1)
_SILENT: Final = timedelta(days=1)
_SECONDS: Final = 2.0  # for a handshake: the scheduler waits meanwhile
_HTTPS: Final = 443


class CertificateWatcher:
    """Looks at the certificates of servers.

    Trusted are the authorities of the system, or those in the file `SSL_CERT_FILE`.

    Args:
        hosts: Hosts, `host` or `host:port`.
        min_days: Days before the end of a certificate from which it is an alarm.

    Attributes:
        names: Names of all conditions.
    """

    def __init__(self, hosts: Sequence[str], min_days: float) -> None:
        self._hosts, self._min_left = hosts, timedelta(days=min_days)
        self._looked_at = datetime.min.replace(tzinfo=UTC)
        self._silent_since: dict[str, datetime] = {}
        self.names = frozenset(f"certificate of {host}" for host in hosts)

    def conditions(self, now: datetime) -> Iterator[Condition]:
        """Yield the condition of each certificate, if an hour has passed since the last look."""
        if self._looked_at <= now < self._looked_at + _LOOK:
            return
        self._looked_at = now
        for host in self._hosts:
            yield from self._of_host(host, now)

    def _of_host(self, host: str, now: datetime) -> Iterator[Condition]:
        name = f"certificate of {host}"
        try:
            ends_at = _end_of_certificate(host)
        except ssl.SSLCertVerificationError as error:
            text = f"it is not valid: {error.verify_message}; renew it, or trust its authority"
            yield Condition(name, URGENT, text)
        except OSError as error:
            since = self._silent_since.setdefault(host, now)
            if now - since >= _SILENT:
                text = f"it cannot be looked at since {since:%Y-%m-%d %H:%M} UTC: {error}"
                yield Condition(name, 1, f"{text}; is the address right?")
            return
        else:
            left = ends_at - now
            level = (left < self._min_left) + (left < self._min_left / 7)
            text = f"it ends at {ends_at:%Y-%m-%d %H:%M} UTC; renew it"
            yield Condition(name, level, text)
        self._silent_since.pop(host, None)


def _end_of_certificate(host: str) -> datetime:
    """Return when the certificate of a server ends.

    Raises:
        ssl.SSLCertVerificationError: It is not valid, or not of this host.
        OSError: There is no answer.
    """
    url = urlsplit(f"//{host}")
    address = url.hostname or "", url.port or _HTTPS
    with (
        socket.create_connection(address, _SECONDS) as connection,
        ssl.create_default_context().wrap_socket(
            connection, server_hostname=address[0]
        ) as encrypted,
    ):
        certificate = encrypted.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
