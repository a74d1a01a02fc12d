"""The cold start: lists for users without interactions, vectors for items without users.

a profile              ─► segments             ─► the list of the most specific segment
likes in free text     ─► titles and genres    ─► a list of their own
a user's vector        ─► ridge regression     ─► a list of their own
a new item's content,
  vector from outside  ─► ridge regression     ─► a vector among the other items'
nothing                ─► the popular list
"""
