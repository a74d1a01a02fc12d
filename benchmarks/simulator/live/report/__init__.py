"""The report: metrics of a run with confidence intervals.

records ─► metrics ─┬─► figures ─► text
└─► comparison, of two servers
"""
