"""The event stream: events as lines, and their destination.

    event_log ─► protocol ─┬─ file      a growing file, rotated by size
                           └─ kafka     one topic; `brokers` starts a local broker

`times` reads and writes times of lines; `dropped_lines` counts lines that were not delivered.
"""
