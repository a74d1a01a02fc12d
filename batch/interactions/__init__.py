"""Gathering: events of all kinds become what is known of each user and item that have met.

    columns ─► blocks of users ─► meetings: who has met what ─► met: watched, rated ─► kept
               counting_sort                                       rated: the last stars count

`aggregate_events` goes all the way.
"""
