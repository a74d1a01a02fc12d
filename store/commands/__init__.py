"""The verbs of `python -m store`, one module each; `add_parser` declares its options."""
