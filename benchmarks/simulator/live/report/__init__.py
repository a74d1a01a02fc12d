"""The report: what came of a run, with what chance may have done.

tally ─► metrics ─┬─► figures ─► text
└─► comparison, of two servers
"""
