"""The admin processes: they answer `/admin/`, where a token is configured.

`run_admin` in `process.py` runs from the fork to the end of the process.
"""
