"""Sizing: what a refresh and its service take by users, items and views, and what that costs.

measure      one size: time by stage, memory, disk, network, answers per core
fit          linear models of these figures, and their error on sizes that were held out
costs        machines, hours and cost a month of a service of any size, at stated prices
picture      the same as SVG
"""
