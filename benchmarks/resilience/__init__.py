"""The server under faults, behind its front: `python -m benchmarks.resilience`.

__main__  which faults, how many; the table and the figures
faults    kills, reloads, hangs, swaps, a dead front, no descriptors
strangers malformed bytes and slow clients
fuzz      the malformed requests themselves
server    a real `python -m serve`, and its processes by their parts
load      clients of our own, which judge every single answer
answers   HTTP read strictly, and what is wrong with an answer
lists     snapshots whose every list follows from user and generation
"""
