"""Gathering: events of all kinds become what is known of each user and item that have met.

    columns ─► blocks of users ─► meetings: who has met what ─► met: watched, rated ─► kept
               by_counting                                       rated: the last stars count

`gather` goes all the way.
"""
