"""User events: files of any known kind are parsed in bulk, and broken lines quarantined.

`read.read_events` reads all files of a refresh, `ingest.ingest` turns logs into day partitions.
"""
