"""The dead man's switch: a URL that is called after each success of a job.

A service elsewhere expects the call, and alerts people when it does not come: that is how the
death of this machine, or of its scheduler, is found.
"""

import http.client
import urllib.request
from typing import Final

from cron.errors import CronError
from cron.jobs import Job

_SECONDS: Final = 20.0
_N_TRIES: Final = 3


def call(job: Job) -> None:
    """Call the heartbeat_url of a job.

    Raises:
        CronError: It has none, or the URL cannot be reached.
    """
    name = f"[cron.jobs.{job.name}] heartbeat_url"
    if not job.heartbeat_url:
        raise CronError(name, "is not set", "set it to the URL that expects the calls")
    for n_left in reversed(range(_N_TRIES)):
        try:
            with urllib.request.urlopen(job.heartbeat_url, timeout=_SECONDS):  # noqa: S310
                return
        except (OSError, ValueError, http.client.HTTPException) as error:
            if not n_left:
                raise CronError(name, f"cannot be called: {error}", "check the URL") from error
