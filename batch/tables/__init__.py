"""Tables: the lists, neighbours and fallbacks of one snapshot, made from the trained models.

factors ─► lists ─► index, neighbours ─► fallbacks ─► `SnapshotTables` ─► records in key order

`assemble_tables` makes them, `write_tables` writes them.
"""
