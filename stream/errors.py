"""The errors of the stream."""

from store.errors import MarqueeError


class StreamError(MarqueeError):
    """The collector cannot be started, or has to stop; what it flushed is complete."""

    remedy = "`python -m stream --help` lists the commands and their options"


class NoAnswersError(StreamError):
    """There are no answers to users, as in a new installation: no event, and no access log."""


class LedgerError(StreamError):
    """The ledger is damaged, of a newer version, or names files that do not exist."""

    remedy = "look into it; `python -m stream rebuild` writes it anew from the partitions"


class FencedError(StreamError):
    """Another collector has taken over the directory."""

    remedy = "run one collector for each directory of events"


class NewLogError(StreamError):
    """The log is not the one that was read before: another cluster, another topic, or cut short."""

    remedy = (
        "check [stream.kafka] bootstrap.servers and [stream] topic; if the log was made again, "
        "start once with --accept-new-log"
    )


class SourceError(StreamError):
    """A source cannot be read, and waiting does not help."""
