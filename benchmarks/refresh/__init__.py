"""What a refresh takes: of given files, of two generated nights, and as data grow."""
