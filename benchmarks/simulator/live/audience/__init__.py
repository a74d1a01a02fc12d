"""The audience: who uses the service, what they want, and what they do with a list.

newcomers     users whom the history has not seen
seen          what each user has watched
disturbance   what may change all this while it runs
wants         what each user would watch now ◄── seen, disturbance
viewers       look through a list, take an item, or go ◄── wants
yardstick     how good a list truly is ◄── wants
"""
