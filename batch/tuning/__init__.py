"""Tuning: parameters of the configured model that suit this data, found by trial.

    interactions ─► split ─┬─► train ─► split ─┬─► train ─► fit ─┐ one trial
                           │                   └─► validation ───┴─► metric ─► Optuna
                           └─► test, which no trial sees ─► best against defaults

`python -m batch tune` writes what it found to a file; `[batch] tuned` names it to the
refresh. The first trial has the defaults, so what is found is never worse on the
validation side; by how much it is better is told by the test side.
"""
