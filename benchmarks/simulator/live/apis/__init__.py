"""The user and the movie API over HTTP.

process ─► server ─┬─► limit                 of requests, for each client
└─► answers ─► fields     which may be missing or of a wrong type
"""
