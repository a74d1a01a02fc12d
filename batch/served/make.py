"""The served model of a refresh: the fitted model, and the histories with their evidence."""

from batch.arrays import Times
from batch.interactions.build import Interactions
from batch.interactions.weights import Weighting
from batch.models.protocol import Ranker
from batch.models.view_order import order_views
from batch.served.document import describe
from batch.served.evidence import (
    WeightBasis,
    evidence_columns,
    snapshot_evidence,
    with_evidence,
)
from batch.served.files import ServedModel
from batch.served.history import Histories
from batch.settings import BatchSettings
from batch.threads import usable
from batch.unavailable import Unavailable


def served_model(
    ranker: Ranker,
    interactions: Interactions,
    at: Times | None,
    settings: BatchSettings,
    n_threads: int,
) -> ServedModel | Unavailable:
    """Return the model of the lists and the users' histories, or why there is none.

    Args:
        ranker: Model of the lists.
        interactions: Interactions that it ranks for.
        at: (n_interactions,) time of each first event, 0 where unknown; None if all are.
        settings: Settings of the batch.
        n_threads: Number of threads; 0 means one for each usable processor.
    """
    if settings.fold_in == "off":
        return Unavailable("[batch] fold_in is off")
    model = describe(ranker)
    if isinstance(model, Unavailable):
        return model
    weights, n_later = interactions.weights, None
    if "n_later" in model.document["history"]:
        n_later = order_views(weights, at, settings.seed, usable(n_threads)).n_later
    evidence = interactions.evidence
    if evidence is None:
        return ServedModel(model, Histories(weights, n_later))
    found = snapshot_evidence(weights, evidence, at)
    basis = WeightBasis.of(evidence, Weighting.from_settings(settings))
    further = evidence_columns(model.document["history"], evidence)
    histories = Histories(weights, n_later, found.words(further))
    return ServedModel(with_evidence(model, further, basis), histories)
