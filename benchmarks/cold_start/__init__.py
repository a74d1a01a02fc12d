"""Cold users and items, hidden on purpose: what the batch makes for them, against popularity."""
