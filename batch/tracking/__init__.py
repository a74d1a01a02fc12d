"""Tracking: a record of each refresh in systems beside the store, where they are configured.

    refresh ─► START ─► … ─► COMPLETE, FAIL or ABORT ─► OpenLineage: a file, or a URL
                 manifests of the store ─► track ─► MLflow: a run and a model version each,
                 CURRENT ──────────────────┘        an alias at the one that is served

The store is the record; MLflow is made equal to it. So what a server missed follows with the
next refresh or `python -m batch track`, and a rollback moves the alias.
"""
