"""A look at files before they are read: what each is taken for, and how.

    file ─► the readers of a refresh ─► counts, ranges, five rows, warnings ─► text or JSON

Begin at `look.py`; `command.py` is the verb `inspect`.
"""
