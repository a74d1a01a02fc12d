"""Experiments: two versions of the lists compared on users.

command  start, stop, promote, status
start    the experiment that the options describe
status   what runs
"""
