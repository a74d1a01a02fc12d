"""Time and memory of a refresh: of files, of two generated nights, and as data grow."""
