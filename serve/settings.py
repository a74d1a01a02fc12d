"""The `[serve]` section of `marquee.toml`."""

from dataclasses import dataclass

from store.ids import is_item_id
from store.layout import LIST_LENGTH


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How the server listens, and what it says when there is no snapshot at all.

    Attributes:
        host: Address to listen on.
        port: TCP port; 0 takes a free one.
        workers: Processes; 0 means one for each processor it may use.
        emergency_list: Item ids answered while no snapshot can be served; without
            any the answer is 503.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 0
    emergency_list: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must lie between 0 and 65535, not {self.port}")
        if self.workers < 0:
            raise ValueError(f"workers must be 0 or more, not {self.workers}")
        names = self.emergency_list
        if len(names) > LIST_LENGTH or len(set(names)) < len(names):
            raise ValueError(f"emergency_list must hold up to {LIST_LENGTH} items, none twice")
        for item_id in self.emergency_list:
            if not is_item_id(item_id):
                raise ValueError(f"emergency_list: {item_id!r} is no item id")
