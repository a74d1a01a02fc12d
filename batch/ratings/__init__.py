"""The rating model behind `/predict`: a Bayesian matrix factorization with biases.

    predicted rating = mean + user_bias + item_bias + user_factors · item_factors

`learn` trains and measures it for a refresh, `train` runs the sweeps, `model` holds the result.
`vectors` updates the posteriors of one side, `prior` refits their priors, and
`implicit_features` describes users and items by which pairs have a rating at all.
"""
