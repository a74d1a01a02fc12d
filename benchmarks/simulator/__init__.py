"""A simulated streaming service: users and films with latent tastes, their past and their present.

    world      users, items, tastes and the truth about them
    history    the past of a world, written as logs or Parquet, with noise
    live       the present: users send requests to real servers and watch what they are shown

Shared: `clock` (days and hours), `seeds` (a random generator for each purpose), `log_formats`
(how lines are written), `parallel`, and the command-line `arguments` and `world_arguments`.
Everything is drawn from one seed: the same arguments give the same bytes.
"""
