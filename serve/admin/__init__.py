"""The admin processes: they answer `/admin/` and `/events`, where a token is configured.

`run_admin` and `run_events` in `process.py` run from the fork to the end of the process.
"""
