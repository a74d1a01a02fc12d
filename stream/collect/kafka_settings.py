"""Settings of librdkafka: the table `[stream.kafka]`, without what the collector decides."""

from collections.abc import Mapping
from typing import Final

from store.errors import ConfigError

KafkaSettings = dict[str, str | int | float | bool]

# A commit is a hint, given after a flush; a lost position is an error, never a jump.
_FIXED: Final[KafkaSettings] = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "auto.offset.reset": "error",
}
_DEFAULTS: Final[KafkaSettings] = {
    "group.id": "marquee",
    "client.id": "marquee",
    # Memory stays flat however far behind: a waiting message takes 500 bytes beside its own, and
    # a fetch, whose size is that of packed messages, unpacks to a hundred times as much if they
    # are alike. By default librdkafka pauses a second whenever enough of them wait, which made
    # the rate four times as low.
    "queued.max.messages.kbytes": 1 << 15,
    "queued.min.messages": 30_000,
    "fetch.message.max.bytes": 1 << 17,
    "fetch.queue.backoff.ms": 20,
    "partition.assignment.strategy": "cooperative-sticky",
}
_MAX_POLL_MS: Final = 300_000  # librdkafka's own default


def consumer_settings(table: Mapping[str, str]) -> KafkaSettings:
    """Return the settings of the consumer.

    Args:
        table: The table `[stream.kafka]`; each setting of librdkafka is passed through.

    Raises:
        ConfigError: The brokers are missing, or a setting is the collector's own.
    """
    for key, value in _FIXED.items():
        if table.get(key, value) != value:
            problem = f"must be {value!r}, so that nothing is lost"
            raise ConfigError(f"[stream.kafka] {key}", problem, "leave it out")
    if not table.get("bootstrap.servers") and not table.get("metadata.broker.list"):
        problem = "has no bootstrap.servers"
        raise ConfigError("[stream.kafka]", problem, 'set "bootstrap.servers" = "host:9092"')
    defaults = dict(_DEFAULTS)
    if table.get("group.protocol") == "consumer":  # the brokers assign
        del defaults["partition.assignment.strategy"]
    return {**defaults, **table, **_FIXED}


def admin_settings(settings: KafkaSettings) -> KafkaSettings:
    """Return the same settings for an admin client, which warns of the consumer's."""
    ours = {key: value for key, value in settings.items() if key not in {*_DEFAULTS, *_FIXED}}
    return {**ours, "log_level": 3}


def is_incremental(settings: KafkaSettings) -> bool:
    """Return whether partitions are assigned one by one, as cooperative protocols do."""
    strategy = str(settings.get("partition.assignment.strategy", ""))
    return settings.get("group.protocol") == "consumer" or "cooperative" in strategy


def max_poll_seconds(settings: KafkaSettings) -> float:
    """Return the longest time between two polls before the group excludes a member."""
    return float(settings.get("max.poll.interval.ms") or _MAX_POLL_MS) / 1000
