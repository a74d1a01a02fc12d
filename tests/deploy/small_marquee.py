"""A small Marquee in a directory of its own: code, configuration and events."""

import random

from tests.deploy.files import ROOT


def make_marquee(folder):
    """Make the directory, as deploy/ expects it in /srv, with an empty store."""
    (folder / "var" / "store").mkdir(parents=True)
    for name in (".venv", "batch", "stream", "serve", "store", "cron"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "marquee.toml").write_text('[batch]\nevents = ["var/events"]\n')


def write_events(folder, n_users):
    """Replace the events by ratings of as many users."""
    rng = random.Random(1)
    lines = ["user,item,rating,time"]
    for user in range(n_users):
        for item in rng.sample(range(60), 15):
            at = 1_790_000_000 + rng.randrange(864_000)
            lines.append(f"u{user},i{item},{rng.randint(1, 5)},{at}")
    (folder / "var" / "events").mkdir(exist_ok=True)
    (folder / "var" / "events" / "ratings.csv").write_text("\n".join([*lines, ""]))
