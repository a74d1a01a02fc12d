"""Spark: the stages of a refresh that touch every user, in the partitions of a cluster.

    files ─► rows of events ─► sorted by user ─► interactions ─┬─► sample of users ─► driver
             read.py           chunks.py         basis.py      └─► lists, vectors, histories
                                                                   user_step.py ▲
    driver: trust, trial, model, index, rules, gate ── items, model ────────────┘

The driver has what belongs to items, and a sample of users whose size depends on the number of
items. `engine.opened_spark` is the way in; the functions on Arrow batches need no Spark.
"""
