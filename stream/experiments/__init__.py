"""Experiments: two versions of the lists compared on users, and the statistics for it.

command       start, stop, promote; `start` reads the options, `presets` has common designs
look_command  status, check
plan          duration and power before the start; `traffic` is what it is made from

observed ─► figures ─► check ─► looks
  users     one look   acts     the history
  `population` leaves out those with a history where only new users count

from_logs   what a generation would get, from the logs of one whose last places were drawn
statistics  tests, intervals and sequential rules, as functions of users' sums
"""
