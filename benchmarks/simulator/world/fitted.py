"""Constants of the real service: what was measured, in which recording, and how it was fitted.

Recordings have the names of the README of the real data. Values that could not be
measured are marked "chosen".
"""

from typing import Final

# Items by rank, of stream/views-290k-users (404,884 pairs, 25,178 films): a
# Zipf-Mandelbrot head and an exponential tail, least squares on the logarithms
# at 200 ranks spaced evenly in the logarithm (offset 18.7, decay 2.42); offset
# and decay were then lowered until as many pairs drawn from it look like the
# recording, for drawing makes the ranks steeper. Cumulated shares, real and
# drawn: 10 items .186 .183, 100 .464 .481, 1,000 .627 .626, 10,000 .866 .867.
HEAD_EXPONENT: Final = 1.78
HEAD_OFFSET: Final = 17.0  # in ranks
TAIL_SHARE: Final = 0.386
TAIL_DECAY: Final = 1.9  # over the whole catalogue, in e-foldings

# Views of a user, of the same file, by maximum likelihood on the counts 1 to 16:
# Poisson, zero-truncated, at one rate for casual
# users and at an exponential one for keen users. Users with 1, 2, 3, 5 views,
# real: 208,404 61,085 14,071 1,181; fitted: 208,220 61,518 13,747 1,295. The
# recordings do not say how long they were; a week is chosen.
CASUAL_VIEWS_PER_WEEK: Final = 0.564
KEEN_VIEWS_PER_WEEK: Final = 1.459
KEEN_SHARE: Final = 0.0771

# Minutes, of stream/kafka-2022-11-noisy-50k: minute over runtime is all but
# even, and 0.0454 over 0.0525 of the lines are left in the last twentieth: so
# many watch to the end, and the others leave at any time.
COMPLETED_SHARE: Final = 0.86

# Ratings per view of that log: 266 ratings, and 49,258 lines of a minute at 119
# a view; their stars 1 to 5 (n = 266; 1 was not seen, and is given half a rating).
RATED_SHARE: Final = 0.64
STARS: Final = (0.002, 0.019, 0.274, 0.507, 0.198)

# Answered requests of the same log: 425, one a view; milliseconds log-normal by
# the quartiles 108, 140, 175.
ANSWER_MEDIAN_MS: Final = 140.0
ANSWER_SIGMA: Final = 0.358

# Hours of the day, of the times in ml-latest-small: the first two harmonics,
# amplitude relative to the mean, and hour of the peak.
HOUR_HARMONICS: Final = ((1, 0.423, 20.24), (2, 0.090, 18.03))

# Runtimes, of api/movies-2025: means by rank in stream/views-290k-users, films
# that are watched more are longer; about them log-normal, as the quartiles 89 and
# 111 of all say, a little wider for the long ones.
RUNTIME_BY_RANK: Final = ((50, 131), (400, 131), (1200, 118), (4500, 105), (12_000, 94))  # minutes
RUNTIME_SIGMA: Final = 0.2

# Catalogue, of api/movies-2025 (16,960 films): shares of the first decade of
# release and so on, of the number of genres from 0, of the words in a title
# from 1, of titles that begin with "the", of languages; genres in the numbers
# of the outside database.
DECADES: Final = {
    1910: 0.005, 1920: 0.013, 1930: 0.039, 1940: 0.044, 1950: 0.055, 1960: 0.065, 1970: 0.074,
    1980: 0.087, 1990: 0.143, 2000: 0.283, 2010: 0.192,
}  # fmt: skip
N_GENRES: Final = (0.035, 0.297, 0.337, 0.228, 0.080, 0.023)
N_WORDS: Final = (0.187, 0.297, 0.236, 0.136, 0.077, 0.067)
THE_SHARE: Final = 0.205
LANGUAGES: Final = {
    "en": 0.75, "fr": 0.059, "ja": 0.026, "de": 0.023, "it": 0.022, "es": 0.021, "zh": 0.009,
    "sv": 0.009, "ru": 0.008, "ko": 0.008,
}  # fmt: skip
GENRES: Final = {
    "Drama": (18, 0.548), "Comedy": (35, 0.289), "Romance": (10749, 0.185),
    "Thriller": (53, 0.172), "Action": (28, 0.128), "Crime": (80, 0.108),
    "Documentary": (99, 0.091), "Horror": (27, 0.081), "Adventure": (12, 0.067),
    "Mystery": (9648, 0.058), "Science Fiction": (878, 0.055), "Family": (10751, 0.045),
    "Fantasy": (14, 0.043), "Music": (10402, 0.043), "History": (36, 0.041), "War": (10752, 0.038),
    "Foreign": (10769, 0.037), "Animation": (16, 0.029), "Western": (37, 0.026),
    "TV Movie": (10770, 0.009),
}  # fmt: skip

# Users, of api/users-2022 (20,131): ages by band (from, to, share), even within
# one; gender; occupations.
AGES: Final = (
    (8, 17, 0.012), (18, 24, 0.079), (25, 34, 0.832), (35, 44, 0.041), (45, 55, 0.015),
    (56, 90, 0.021),
)  # fmt: skip
MALE_SHARE: Final = 0.828
OCCUPATIONS: Final = {
    "college/grad student": 0.240, "executive/managerial": 0.197, "sales/marketing": 0.131,
    "scientist": 0.095, "self-employed": 0.068, "other or not specified": 0.066,
    "academic/educator": 0.038, "K-12 student": 0.034, "homemaker": 0.029, "artist": 0.022,
    "clerical/admin": 0.018, "retired": 0.018, "technician/engineer": 0.014, "programmer": 0.011,
    "tradesman/craftsman": 0.006, "writer": 0.004, "lawyer": 0.003, "doctor/health care": 0.003,
    "customer service": 0.002, "unemployed": 0.002, "farmer": 0.001,
}  # fmt: skip

# Chosen: no recording has these values.
N_TASTES: Final = 32
SECOND_TASTE: Final = 0.2  # of an item, beside its first
GENRE_SPREAD: Final = 1.5  # by how much a taste prefers genres, as a logarithm
TASTE_CONCENTRATION: Final = 1.2  # of the Dirichlet that a user's taste is drawn from: about 2
GROUP_SPREAD: Final = 0.5  # by how much age and gender move a taste, as a logarithm
# Minimum share of the views that follow no taste, only popularity. With 0.08 ALS is as far
# above popularity as on MovieLens 20M, about twice. stream/views-290k-users, 1.4 views a
# user, shows no taste: two of its users have the same pair of films hardly more often than
# if films were drawn independently (1.07 times for users of two films, 1.16 for three or
# four, 0.97 for more; in a world with a share of 0.08 2.66, 2.11, 1.83). So the commands
# let at least one view of each user be random, the one that brought the user here
# (`default_random_share`): 0.7 of 1.4 views, 0.08 of many.
RANDOM_SHARE: Final = 0.08
DRIFT_DAYS: Final = 730.0  # after which 1 - 1/e of a user's taste has turned to something else
LIKING_WEIGHT: Final = 0.6  # correlation of taste and enjoyment; the rest is noise
NEW_USERS_PER_DAY: Final = 0.003
NEW_ITEMS_PER_DAY: Final = 0.0003
ADULT_SHARE: Final = 0.01
COST_MEDIAN_USD: Final = 0.08  # of a play; popular items cost more
COST_SIGMA: Final = 0.5
