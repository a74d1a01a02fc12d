"""The server under faults, behind nginx: `python -m benchmarks.resilience`.

__main__         options; the table and the figures
faults           kills, reloads, hangs, swaps, nginx killed, no descriptors
hostile_clients  malformed bytes and slow clients
floods           the worst requests of every route, thousands of connections
fuzz             the malformed requests themselves
load             clients at a fixed rate, which check every single answer
answers          HTTP parsed strictly, and the defects of an answer
lists            snapshots whose every list follows from user and generation
"""
