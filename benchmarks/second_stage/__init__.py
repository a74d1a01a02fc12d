"""Lists with and without the second stage, and those of content-based systems."""
