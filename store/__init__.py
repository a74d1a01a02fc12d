"""The store: snapshots that never change, and a pointer to the one served.

    var/store/
        snapshots/000041/    recs.mdb factors.mdb items.ann MANIFEST.json SHA256SUMS
        snapshots/000042/
        CURRENT              the text "42"
        JOURNAL              one line for each change of what is served: time, generation, what, why
        LOCK                 locked by the process that writes

`store` imports lmdb and the standard library alone. `batch` writes snapshots with
it and `serve` reads them. Formats, id rules, error types and the configuration
loader stand here for all packages. The manual is `store/README.md`.
"""
