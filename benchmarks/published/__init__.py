"""Published evaluation protocols of ML-1M: our figures beside the published ones.

    FOLDER/ml-1m/pairs.parquet     all pairs of user and item
    FOLDER/ml-1m-protocols/        the pairs of the test and validation sides

    protocol ─► training side ─► choose parameters on the validation side ─► fit, once a seed
         └────► test side ──────────────────────────────────────────────────► metrics

A protocol (`ncf.py`, `lcfn.py`) reads its two tasks: one to choose parameters on, one to report.
"""
