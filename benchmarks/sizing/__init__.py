"""Sizing: what a refresh and its service take by users, items and views, and what that costs.

sizes        the sizes that are measured, and their record
measure      one size: time by stage, memory, disk, network, answers per core
on_spark     one size by both engines: time of the driver and of the executors, driver's memory
fit          linear models of these figures, and their error on sizes that were held out
fit_spark    the same of the figures on Spark
costs        machines, hours and cost a month of a service of any size, at stated prices
plans        services of a million to a billion users, from the models and the costs
picture      the same as SVG
"""
