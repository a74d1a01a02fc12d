"""The server: one key lookup and one write for a known user.

    supervisor/ ── owns the sockets, verifies snapshots, keeps every process alive
        │ fork, and shared memory, the scoreboard: generation to serve, heartbeats, counts
        ├── nginx     the reverse proxy that clients connect to
        ├── worker/ 1 bjoern ─► app ─► snapshot.users.get(user_id)
        ├── worker/ N           └─► resources/: the fallback chain and everything else
        └── admin/    the actions of an operator, where a token is configured

A folder is a process; what several of them use lies beside the folders.
The package imports store, falcon, bjoern, annoy and prometheus_client, never numpy,
pandas or batch, so a worker starts fast and stays small. The command is
`python -m serve`.
"""
