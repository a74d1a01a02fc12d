"""The cold start: lists for users of whom little is known, vectors for items that nobody has had.

a profile            ─► segments      ─► the list of the narrowest one
likes in free words  ─► titles, genres ─► a list of their own
a new item's content ─► ridge          ─► a vector beside the others
nothing              ─► what is popular
"""
