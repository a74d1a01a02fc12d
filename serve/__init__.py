"""The server: one key lookup and one write for a known user.

    supervisor ── owns the sockets, verifies snapshots, keeps every process alive
        │ fork, and one shared page: the generation to serve, heartbeats, counts
        ├── front     nginx: what strangers speak to
        ├── worker 1  bjoern ─► app ─► snapshot.users.get(user_id)
        ├── worker N          └─► resources: the fallback chain and everything else
        └── admin     what an operator may change, if there is a token

It knows store, falcon, bjoern, annoy and prometheus_client; never numpy, pandas or
batch, so a worker starts fast and stays small. `python -m serve` is its command.
"""
