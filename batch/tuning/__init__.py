"""Tuning: a search for the parameters of the configured model, on this data.

    interactions ─► split ─┬─► train ─► split ─┬─► train ─► fit ─┐ one trial
                           │                   └─► validation ───┴─► metric ─► Optuna
                           └─► test set, used by no trial ─► best minus defaults

`python -m batch tune` writes the best parameters to a file, and the refresh reads the file
that `[batch] tuned` names. The first trial uses the defaults, so the best is never worse
on the validation set. Its gain is measured on a held-out test set.
"""
