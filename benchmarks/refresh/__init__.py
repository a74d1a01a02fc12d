"""Time and memory of a refresh: of given files, of two generated nights, and as data grow."""
