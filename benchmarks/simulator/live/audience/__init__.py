"""The audience: the users, their preferences, and their reactions to a list.

new_users       users without a history, who join during the run
seen            items that each user has watched
fault_effects   changes of preferences and traffic by faults
preferences     what each user would watch now ◄── fault_effects
viewers         scan a list, take an item, or leave ◄── preferences, seen
oracle          the true value of a list ◄── preferences, seen
"""
