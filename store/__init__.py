"""The store: snapshots that never change, and a pointer to the one served.

    var/store/
        snapshots/000041/    recs.mdb factors.mdb items.ann MANIFEST.json SHA256SUMS
        snapshots/000042/
        CURRENT              the text "42"
        JOURNAL              one line for each flip: time, generation, what, why
        LOCK                 held by the one process that writes

`store` knows lmdb and the standard library. `batch` writes with it, `serve`
reads with it, and both share its formats, its id rules and its configuration
loader.
"""
