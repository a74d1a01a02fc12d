"""Planted attacks on the lists, and honest items that many watch, with and without `[trust]`.

service ─► planted accounts or viral items ─► nights: assess, train, lists ─► share of lists

`service` simulates a service, `planted` adds to it, `nights` makes lists as a refresh does.
"""
