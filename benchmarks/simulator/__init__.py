"""A simulated streaming service: users and films with latent tastes, and what comes of them.

    fitted ─► items, users ─► world ──┬─► truth      what each user would watch and like
                                      └─► choices ─► views ─► history
                                                                ├─► lines ─► noise ─► logs
                                                                └─► tables (Parquet)
    statistics ─► compare         a history beside real files
    live                          the service while it runs, against real servers

Everything is drawn from one seed: the same arguments give the same bytes.
"""
