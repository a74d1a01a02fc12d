"""The server: one key lookup and one write for a known user.

    supervisor ── owns the listening socket, verifies snapshots, respawns workers
        │ fork, and one shared page: the generation to serve, each worker's heartbeat
        ├── worker 1: bjoern ─► app ─► snapshot.users.get(user_id)
        └── worker N

It knows store, falcon and bjoern; never numpy, pandas or batch, so a worker
starts fast and stays small. `python -m serve` is its command.
"""
