"""A check of one's own, as a job of the scheduler: whether events still arrive.

    python -m benchmarks.drill.check EVENTS MAX_SECONDS

Exit status: 0 the last flush is young enough, or there was none yet; 1 it is older.
"""

import sys
import time
from pathlib import Path

from stream.collect.folder import CollectorFolder
from stream.collect.ledger import read_state


def main() -> int:
    """Compare the age of the last flush with its limit."""
    events, max_seconds = Path(sys.argv[1]), float(sys.argv[2])
    ledger = CollectorFolder(events).ledger
    if not ledger.exists():
        return 0
    age = time.time() - read_state(ledger).flushed_at
    print(f"the last events were written {age:.0f} s ago", file=sys.stderr)
    return int(age > max_seconds)


if __name__ == "__main__":
    sys.exit(main())
