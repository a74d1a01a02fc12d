"""Input files: packed, archived, in any encoding; all recognized by content, never by name.

    ml.zip ─► members ─► gzip, bz2, xz, zstd ─► a kind that is not read? ─► UTF-8, LF or CRLF
              archives   compression            refused                    encodings

Begin at `open.py`, which opens one file, and at `archives.py`, which lists the files in a path.
"""
