"""The rating model behind `/predict`: what would this user give this item?

    predicted rating = mean + user_bias + item_bias + user_factors · item_factors

`learn` is what a refresh asks for, `train` fits the model, `model` is what comes out,
`vectors` is one half of a sweep, and `tastes` is what the mere choice of what to rate says
about a user or an item.
"""
