"""The gate: a snapshot that is worse than the one served is kept, and not published."""
