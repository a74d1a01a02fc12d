"""What a person on call would be told: the scheduler's messages, and the server's `/healthz`."""

import http.client
import json
from typing import Final

from benchmarks.drill.timeline import Kind, Timeline
from benchmarks.harness.background import Background
from benchmarks.harness.servers import Address
from benchmarks.nights.outside import Inbox

# The command of [notify]: one message, posted to the inbox.
POST: Final = """
import os, urllib.request
name, level, text = (os.environ["MARQUEE_ALARM_" + key] for key in ("NAME", "LEVEL", "TEXT"))
body = f"{{name}}{{'' if level != '0' else ' over'}}: {{text}}"
urllib.request.urlopen({url!r}, data=body.encode())
"""
_OVER: Final = " over: "
_POLL_SECONDS: Final = 0.05
_LIMIT_SECONDS: Final = 5.0
OK: Final = "ok"


class Watcher(Background):
    """Records messages and changes of the server's health in a time line. A context manager.

    Args:
        timeline: Time line to fill.
        inbox: Receiver of the scheduler's messages.
        address: Address of the server.
    """

    def __init__(self, timeline: Timeline, inbox: Inbox, address: Address) -> None:
        super().__init__()
        self._timeline, self._inbox, self._address = timeline, inbox, address
        self._n_texts, self._health = 0, OK

    def _run(self) -> None:
        while not self._is_over.wait(_POLL_SECONDS):
            for text in self._inbox.texts[self._n_texts :]:
                self._n_texts += 1
                kind = Kind.RECOVERY if _OVER in text else Kind.ALARM
                self._timeline.record(kind, f"message: {text}")
            health = read_health(self._address)
            if health != self._health:
                kind = Kind.RECOVERY if health == OK else Kind.ALARM
                self._timeline.record(kind, f"healthz: {health}")
            self._health = health


def read_health(address: Address) -> str:
    """Return `ok`, the problem that `/healthz` names, or that there is no answer."""
    connection = http.client.HTTPConnection(*address, timeout=_LIMIT_SECONDS)
    try:
        connection.request("GET", "/healthz")
        body = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return "no answer"
    finally:
        connection.close()
    return OK if body.get("status") == OK else str(body.get("problem") or body)
