"""The scheduler: runs the refresh every night, and tries again after a failure.

    python -m cron ──► every few seconds: is a refresh due? ──► python -m batch refresh
                             │      ▲                            │
                             ▼      │                            ▼
    var/cron/        refresh.json (last success, last failure) ◄─┘
                     LOCK         (one instance)

Whether a refresh is due follows from the recorded last success alone, so a night
missed while the machine was off is caught up at the next start. `cron` starts
the batch as a child process and never imports it.
"""
