"""A check in a process of its own: what crashes or hangs there ends the child alone.

LMDB trusts its pages, and files that change in place have no checksum of the whole.
"""

import os
import signal
from collections.abc import Callable
from typing import Final

_MAX_SECONDS: Final = 120
_MAX_BYTES: Final = 4096


def checked_in_child(check: Callable[[], str]) -> str:
    """Return the text of a check, or how the process that made it ended.

    Args:
        check: Function that returns a short text, in a process of one thread.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_MAX_SECONDS)
        try:
            os.write(write_end, check().encode(errors="replace")[:_MAX_BYTES])
            os._exit(0)
        finally:
            os._exit(1)  # never into the code of the parent
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        text = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return f"its check ended with status {status}" if status else text
