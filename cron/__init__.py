"""The clock: runs the refresh every night, and goes on when a night went wrong.

    python -m cron ──► every few seconds: is it due? ──► python -m batch refresh
                             │      ▲                            │
                             ▼      │                            ▼
    var/cron/        refresh.json (last success, last failure) ◄─┘
                     LOCK         (one instance)

What is due follows from the recorded last success alone, so a night missed
while the machine was off is caught up at start like any other. `cron` starts
the batch as a child process and never imports it.
"""
