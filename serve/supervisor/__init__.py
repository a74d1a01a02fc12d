"""The supervisor process: it owns the sockets and keeps every other process alive.

`Supervisor` in `supervisor.py` runs until SIGTERM or SIGINT.
"""
