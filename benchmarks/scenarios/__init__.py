"""Whole runs of Marquee: the demo, and the rehearsal, which is a soak test."""
