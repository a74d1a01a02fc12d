"""New users: users without a history, who join while the service runs."""

import dataclasses
from typing import Final

import numpy as np

from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.users import Users
from benchmarks.simulator.world.world import World

NOT_JOINED: Final = np.iinfo(np.int32).max  # `joined` of users before they join


def with_new_users(world: World, n_new_users: int) -> World:
    """Return the world with further users appended who have not joined yet.

    Each is a copy of a random user with a new id.
    """
    users = world.users
    copied = generator(world.seed, "newcomers").integers(0, len(users), n_new_users)
    columns = {
        field.name: np.concatenate((column, column[copied]))
        for field in dataclasses.fields(Users)
        for column in (getattr(users, field.name),)
    }
    columns["ids"][len(users) :] = users.ids[-1] + 1 + np.arange(n_new_users)
    columns["joined"][len(users) :] = NOT_JOINED
    return dataclasses.replace(world, users=Users(**columns))
