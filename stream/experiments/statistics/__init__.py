"""The statistics of experiments: pure functions of arrays, one row a user; no file is read.

    numerators, denominators ─► rates ─► effects ─┬─ designs ─► compare ─► Comparison
    covariate ─────────────────► cuped ─┘         │   fixed, group_sequential, confidence_sequences
                                                  └─► guardrail
    users of each arm ─► sample_ratio             credits of two lists ─► preference

The unit is the user, because arms are drawn by user: requests of one user are correlated.
Everything here was written from the papers that the docstrings name.
"""
