"""Tables: what was learned becomes the lists, neighbours and fallbacks of one snapshot.

factors ─► lists ─► index, neighbours ─► fallbacks ─► `SnapshotTables` ─► records in key order

`assemble_tables` makes them, `write_tables` writes them.
"""
