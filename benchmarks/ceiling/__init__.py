"""The ceiling of lists in a simulated world: how good they can be with the same views.

history     a world, views of its users, and users of exactly 1, 6 and 20 views
posterior   what those views say about a user's taste, to an oracle who has the world's model
subjects    lists of the oracle, of popularity, of segments, of the models
report      uplift, share of the ceiling, NDCG, each with its interval
"""
