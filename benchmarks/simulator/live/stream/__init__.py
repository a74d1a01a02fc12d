"""The event stream: what happens, as lines, and where the lines go.

    telling ─► protocol ─┬─ file      grows, in pieces if wanted
                         └─ kafka     one topic; brokers of our own where there are none

`times` is how a line says when; `losses` counts lines that could not be delivered.
"""
