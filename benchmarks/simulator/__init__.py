"""A simulated streaming service: users and films with latent tastes, and what comes of them.

world ── who and what there is, and who likes what
  └──► history ── days of events as log files, a catalogue, profiles
"""
