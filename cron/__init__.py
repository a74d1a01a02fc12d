"""The scheduler: runs jobs by the clock, each a command in a child process of its own.

    python -m cron ──► every few seconds: which jobs are due? ──► python -m batch refresh, …
                             │      ▲                              │
                             ▼      │                              ▼
    var/cron/        JOB.json (last runs), history.jsonl ◄─────────┘
                     LOCK (one instance)

Whether a job is due follows from its recorded runs alone, so a night missed while the
machine was off is caught up at the next start. `cron` imports none of what it runs.
"""
