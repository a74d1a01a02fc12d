"""Newcomers: users whom the history has never seen, and who come while the service runs."""

import dataclasses
from typing import Final

import numpy as np

from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.users import Users
from benchmarks.simulator.world.world import World

NOT_YET: Final = np.iinfo(np.int32).max  # `joined` of those who have not come yet


def with_newcomers(world: World, n_newcomers: int) -> World:
    """Return the world with users behind its own who are yet to come.

    Each has the age, the tastes and the rest of some user; only the id is new.
    """
    users = world.users
    like = generator(world.seed, "newcomers").integers(0, len(users), n_newcomers)
    grown = {
        field.name: np.concatenate((column, column[like]))
        for field in dataclasses.fields(Users)
        for column in (getattr(users, field.name),)
    }
    grown["ids"][len(users) :] = users.ids[-1] + 1 + np.arange(n_newcomers)
    grown["joined"][len(users) :] = NOT_YET
    return dataclasses.replace(world, users=Users(**grown))
