"""Databases as an event store: begin reading at `source.py`, and at `target.py` for ingest."""
