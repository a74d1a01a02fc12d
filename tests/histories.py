"""A small streaming service's data, made for tests: a log, a catalogue, profiles."""

import json
import random
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class History:
    """The files of a small history, and their expected content."""

    events: Path
    catalogue: Path
    profiles: Path
    seen: dict[str, set[str]]  # by user_id
    item_ids: set[str]


def write_history(
    folder: Path, n_users: int = 60, n_items: int = 80, n_views: int = 9, seed: int = 3
) -> History:
    """Write a history of two groups: even users watch mostly even items, odd users odd ones."""
    rng = random.Random(seed)
    items = [f"film+{row}+{1950 + row % 70}" for row in range(n_items)]
    users = [str(100 + 7 * row) for row in range(n_users)]
    seen: dict[str, set[str]] = {user: set() for user in users}
    lines = []
    for row, user in enumerate(users):
        for _ in range(n_views):
            item_row = min(int(rng.paretovariate(0.6)), n_items) - 1
            if rng.random() < 0.9:
                item_row = min(item_row - item_row % 2 + row % 2, n_items - 1)
            seen[user].add(items[item_row])
            lines += [
                f"2026-03-0{rng.randint(1, 7)}T{rng.randint(10, 23)}:{minute % 60:02d},{user},"
                f"GET /data/m/{items[item_row]}/{minute}.mpg"
                for minute in range(rng.randint(1, 5))
            ]
            if rng.random() < 0.3:
                lines.append(
                    f"2026-03-08T10:00:01,{user},GET /rate/{items[item_row]}={rng.randint(1, 5)}"
                )
    rng.shuffle(lines)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "events.log").write_text("\n".join(lines) + "\n")
    (folder / "catalogue.jsonl").write_text(
        "".join(
            json.dumps({"id": item, "title": item, "runtime": 90, "genres": []}) + "\n"
            for item in items
        )
    )
    (folder / "profiles.jsonl").write_text(
        "".join(
            json.dumps({"user_id": int(user), "age": rng.randint(12, 70), "gender": "FM"[row % 2]})
            + "\n"
            for row, user in enumerate(users)
        )
    )
    return History(
        folder / "events.log",
        folder / "catalogue.jsonl",
        folder / "profiles.jsonl",
        seen,
        set(items),
    )
