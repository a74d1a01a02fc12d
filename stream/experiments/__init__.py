"""Experiments: two versions of the lists compared on users, and the statistics for it.

statistics  tests, intervals and sequential rules, as functions of users' sums
plan        duration and power before the start
"""
