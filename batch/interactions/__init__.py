"""Interactions: events of all kinds become one row for each pair of a user and an item.

    columns ─► blocks of users ─► pairs ─┬─► views:   furthest minute ─┐
                counting_sort            └─► ratings: latest on scale ─┴─► evidence ─► weights

`aggregate.aggregate_events` makes the evidence, `build.build_interactions` the weights.
"""
