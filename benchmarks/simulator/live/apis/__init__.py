"""The user and the movie API over HTTP.

process ─► server ─┬─► limit                 rate limit of each client
└─► lookup ─► defects     missing fields, or of a wrong type
"""
