"""What some subjects run: the same lookup in a bare function, in Falcon, in FastAPI.

A peer's own interpreter imports these too, so they import nothing of Marquee.
"""
