"""What the server answers besides the hot path, a file for each thing that one may ask."""
