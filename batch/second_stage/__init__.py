"""The second stage: a boosted ranking of the candidates of several models.

    past ─► sources ─► candidates ─► features ─► boosted ranking ─► lists
            sources.py candidates.py features.py training.py        ranking.py

`choice.py` decides on a holdout of the data whether the lists are made this way.
"""
