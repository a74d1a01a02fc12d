"""A worker process: bjoern, the Falcon app, and one timer.

`Worker` in `worker.py` runs from the fork to the end of the process. `make_app` in
`app.py` is what bjoern calls; `WorkerState` in `state.py` is what it answers from.
"""
