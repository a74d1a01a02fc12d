"""Experiments: two versions of the lists compared on users, and the statistics for it.

command     start, stop, promote, status; `start` reads the options
plan        duration and power before the start
status      what runs
from_logs   what a generation would get, from the logs of one whose last places were drawn
statistics  tests, intervals and sequential rules, as functions of users' sums
"""
