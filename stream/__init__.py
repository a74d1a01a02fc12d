"""What runs all day beside the server: the collector of events.

`python -m stream collect` reads Kafka and growing files into the day partitions that the
batch reads; `python -m stream status` says how far it is. `collect` is the way in.
"""
