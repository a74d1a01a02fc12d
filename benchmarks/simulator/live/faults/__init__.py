"""Trouble on command, and the truth about it for whoever should have noticed.

orders ─► happenings ─┬─► stream: flood ─► edition ─► times ─► schemas ─► noise
▲                  └─► wants, traffic and the APIs, by what `Disturbance` says
control               over HTTP, while it runs
"""
