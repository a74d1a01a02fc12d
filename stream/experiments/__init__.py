"""Experiments: two versions of the lists compared on users, and the statistics for it.

command     start, stop, promote, status; `start` reads the options
plan        duration and power before the start
status      what runs
statistics  tests, intervals and sequential rules, as functions of users' sums
"""
