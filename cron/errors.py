"""The scheduler's family of errors."""

from store.errors import MarqueeError


class CronError(MarqueeError):
    """The scheduler cannot be started."""

    remedy = "check that you may write there, or set path in [cron] of marquee.toml"


class AlreadyRunningError(CronError):
    """Another instance holds the lock."""

    remedy = "stop that one first; `fuser` on this file names it"
