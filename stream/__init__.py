"""What runs all day beside the server: events are collected, lists kept fresh, and measured.

`python -m stream collect` reads Kafka and growing files into the day partitions that the
batch reads; `python -m stream status` says how far it is. `collect` is the way in.
`python -m stream fresh` keeps lists fresh; `online` measures what lists are worth to users, and
`explain` says what made an answer of the past.
"""
