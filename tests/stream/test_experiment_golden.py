"""The statistics of experiments give the published values, to one unit of the last digit."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from stream.experiments.statistics.confidence_sequences import (
    exact_mixture_scale,
    mixture_scale,
    one_sided_log_evidence,
    one_sided_multiplier,
    two_sided_log_evidence,
    two_sided_multiplier,
)
from stream.experiments.statistics.designs import AlwaysValid, Fixed
from stream.experiments.statistics.effects import lift
from stream.experiments.statistics.group_sequential import bounds, obrien_fleming, power_family
from stream.experiments.statistics.rates import UserSums, mean_rate, proportion
from stream.experiments.statistics.sample_ratio import log_likelihoods, sample_ratio_p

RATIO = (
    UserSums(1966, 94605.79858780127, 10463129.505392816, 936, 936, 94605.79858780127),
    UserSums(2034, 99673.9364269569, 11298745.182728939, 947, 947, 99673.936),
)
MEAN = (mean_rate(3000, 1400, 52000), mean_rate(3500, 2500, 135000))
SHARE = (proportion(3050, 1450), proportion(3500, 2600))


def digits(value, text):
    """Return whether a value agrees with a printed one to one unit of its last digit."""
    unit = 10.0 ** -len(text.partition(".")[2])
    return abs(value - float(text)) <= unit * (1 + 1e-9)


@pytest.mark.parametrize(
    ("control", "treatment", "design", "printed"),
    [
        (*MEAN, AlwaysValid(1000), (".53061", "-.53230", "1.59353", "1.0")),
        (*SHARE, AlwaysValid(5000), (".56256", ".46064", ".66448", "0.0")),
        (mean_rate(2507, 1196.87, 37377.9767), mean_rate(2461, 1922.7, 94698.29), Fixed(),
         (".63646", "-.0875", "1.36048", ".08487")),
        (proportion(1529, 87), proportion(1471, 62), Fixed(),
         ("-.25925", "-.49475", "-.02376", ".030960")),
        (RATIO[0].rate(), RATIO[1].rate(), Fixed(), (".041333", ".01378609", ".0689", ".0032826")),
    ],
    ids=["sequential mean", "sequential share", "fixed mean", "fixed share", "fixed ratio"],
)  # fmt: skip
def test_lifts_are_those_of_gbstats(control, treatment, design, printed):
    effect = lift(control, treatment)
    width = design.multiplier(effect) * effect.error
    found = (effect.value, effect.value - width, effect.value + width, design.p_value(effect))
    assert [digits(*pair) for pair in zip(found, printed, strict=True)] == [True] * 4, found


def test_standard_errors_and_the_smallest_p_are_those_of_gbstats():
    assert digits(lift(*MEAN).error, ".33368")
    assert digits(lift(*SHARE).error, ".03354")
    assert AlwaysValid(5000).p_value(lift(*SHARE)) == pytest.approx(6e-56, rel=0.1)


def test_normal_mixtures_are_those_of_confseq():
    """With v_opt 100 and alpha .05; their rho is 1 / scale², and z is the sum / 10."""
    scale = mixture_scale(100, 0.05)
    assert digits(1 / scale**2, "12.60056")
    assert digits(two_sided_log_evidence(1.0, 100, scale), "-.6510052")
    assert digits(10 * two_sided_multiplier(100, scale, 0.05), "30.35209")
    one_sided = mixture_scale(100, 0.1)
    assert digits(one_sided_log_evidence(1.0, 100, one_sided), "-.06502391")
    assert digits(10 * one_sided_multiplier(100, one_sided, 0.05), "27.66071")


def test_scales_and_widths_are_the_published_ones():
    """Half widths beside the fixed interval, by the share of the planned users."""
    assert digits(mixture_scale(5000, 0.05), ".0398401")
    assert digits(exact_mixture_scale(1, 0.05) ** 2, "8.21197")
    widths = {0.05: "2.408", 0.1: "1.967", 0.25: "1.665", 0.5: "1.573", 1: "1.549", 2: "1.562",
              4: "1.595", 10: "1.654"}  # fmt: skip
    scale = mixture_scale(1, 0.05)
    for share, printed in widths.items():
        assert digits(two_sided_multiplier(share, scale, 0.05) / 1.959964, printed)


QUARTERS = np.array([0.25, 0.5, 0.75, 1.0])


def test_obrien_fleming_bounds_are_those_of_ld_bounds():
    looks = np.array([0.3, 0.6, 1.0])
    spent = np.array([obrien_fleming(share, 0.025) for share in looks.tolist()])
    printed = ("3.92857", "2.66997", "1.98103")
    found = bounds(looks, spent, is_two_sided=False)
    assert [digits(*pair) for pair in zip(found, printed, strict=True)] == [True] * 3, found


def test_linear_spending_is_more_exact_than_ld_bounds():
    """Its printed bounds carry the error of its integration, by trapezoids of 0.05."""
    spent = 0.05 * QUARTERS
    assert spent == pytest.approx([power_family(1)(share, 0.05) for share in QUARTERS])
    printed = np.array([2.241403, 2.125078, 2.018644, 1.925452])
    exact = bounds(QUARTERS, spent, is_two_sided=False)
    assert exact == pytest.approx(printed, abs=1e-4)
    assert exact[0] == pytest.approx(printed[0], abs=1e-6)
    assert bounds_by_trapezoids(QUARTERS, spent) == pytest.approx(printed, abs=4e-6)
    second, _ = quad(
        lambda z: norm.pdf(z) * norm.sf((exact[1] - z * 0.5**0.5) / 0.5**0.5),
        -9, exact[0], epsabs=1e-13,
    )  # fmt: skip
    assert second == pytest.approx(0.0125, abs=1e-10)


def bounds_by_trapezoids(times, spent, step=0.05, lowest=-8.0):
    """Return one-sided bounds by the coarse integration of ldBounds."""
    found, x, mass, before = [], np.zeros(1), np.ones(1), 0.0
    for look, (now, total) in enumerate(zip(times, spent, strict=True)):
        deviation = (now - (times[look - 1] if look else 0.0)) ** 0.5
        share, before = total - before, total
        z = brentq(excess_of, 0, 9, (x, mass, now**0.5, deviation, share), xtol=1e-12)
        found.append(z)
        low, high = lowest * now**0.5, z * now**0.5
        y = np.linspace(low, high, int(np.ceil((high - low) / (step * deviation))) + 1)
        density = norm.pdf((y[:, None] - x) / deviation) @ mass / deviation
        width = np.full(len(y), y[1] - y[0])
        width[[0, -1]] /= 2
        x, mass = y, density * width
    return found


def excess_of(z, x, mass, root, deviation, share):
    return mass @ norm.sf((z * root - x) / deviation) - share


def test_sample_ratios_are_those_of_ssrm():
    counts = np.array([[1, 0, 0], [1, 1, 0], [2, 1, 0], [2, 2, 0]])
    found = log_likelihoods(counts, (0.4, 0.4, 0.2), np.ones(3))
    printed = ("-1.0986", "-2.4849", "-3.4012", "-4.4998"), ("-.9163", "-1.8326", "-2.7489",
                                                             "-3.6652")  # fmt: skip
    for values, texts in zip(found, printed, strict=True):
        assert [digits(*pair) for pair in zip(values, texts, strict=True)] == [True] * 4, values
    assert digits(sample_ratio_p(np.array([[156, 212]]), (0.5, 0.5))[0], ".075")


@pytest.mark.parametrize(
    ("counts", "concentration", "printed"),
    [
        ((5000, 5300), 100, ".135"), ((5000, 5300), 1, "1.0"), ((50000, 50900), 100, ".578"),
        ((50000, 51500), 100, ".000496"), ((50000, 51500), 1, ".00613"),
        ((821588, 815482), 100, ".00146"), ((821588, 815482), 1, ".0182"),
    ],
)  # fmt: skip
def test_sample_ratio_alarms(counts, concentration, printed):
    found = sample_ratio_p(np.array([counts]), (0.5, 0.5), concentration)[0]
    assert digits(found, printed), found
