"""The options that describe a world; `history` and `live` take the same ones."""

import argparse
import dataclasses

from benchmarks.simulator.arguments import (
    add_renamed_option,
    mean_views,
    non_negative_int,
    positive_int,
    share,
)
from benchmarks.simulator.world.views import default_random_share
from benchmarks.simulator.world.world import World, make_world


def add_world(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe a world."""
    for name, default in (("--users", 2000), ("--items", 500), ("--days", 7)):
        parser.add_argument(
            name, type=positive_int, default=default, metavar="N", help=f"default: {default}"
        )
    parser.add_argument(
        "--seed", type=non_negative_int, default=42, metavar="N", help="default: 42"
    )
    parser.add_argument(
        "--random-views", type=share, metavar="SHARE", dest="random_share",
        help="share of the views that follow no taste, default: one view of each user, "
        "at least 0.08",
    )  # fmt: skip
    add_renamed_option(parser, "--wandering", "--random-views")
    parser.add_argument(
        "--views-per-user", type=mean_views, metavar="MEAN", help="default: 1.4 in a week"
    )


def world_of(given: argparse.Namespace) -> World:
    """Return the world that the options of `add_world` describe."""
    world = make_world(given.users, given.items, given.seed, given.days)
    random_share = given.random_share
    if random_share is None:
        random_share = default_random_share(world, given.views_per_user)
    return dataclasses.replace(world, random_share=random_share)
