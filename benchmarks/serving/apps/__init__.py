"""Applications of some subjects: the same lookup in a bare function, in Falcon, in FastAPI.

They import nothing of Marquee: the interpreters of the peers run them too.
"""
