"""Fault injection: faults on command, and a log of their effects as ground truth.

specs ─► active ─┬─► stream: flood ─► log_format ─► times ─► schemas ─► noise
▲                └─► preferences, traffic and APIs, through `FaultEffects`
control          over HTTP, during the run
"""
