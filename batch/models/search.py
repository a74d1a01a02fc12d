"""The search of `auto`: the best candidate of each family, and the best blend of these.

    interactions ─► sample of users ─► validation set split off
        ─► each family that the limits admit: its best parameters, by successive halving
        ─► selection of a blend ─► the incumbent, unless the new one is significantly better

Everything is compared on the same users, paired, by NDCG@20. The search takes a stated
number of interactions and candidates: its result does not depend on the machine's speed, only on
whether a model fits its memory.

Source:
    Successive halving: Karnin, Koren and Somekh, "Almost Optimal Exploration in Multi-Armed
    Bandits", ICML 2013.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import scipy.sparse as sp

from batch.arrays import Times
from batch.errors import MemoryLimitError
from batch.models.choice import (
    AGAINST_INCUMBENT,
    VECTORS_MODEL,
    Candidate,
    Choice,
    Tried,
    TriedCost,
)
from batch.models.families import (
    FAMILIES,
    Extent,
    Family,
    Size,
    default_ials,
    nightly_seconds,
)
from batch.models.protocol import Recommender
from batch.models.selection import (
    POPULARITY,
    Entrant,
    Margins,
    Selection,
    Shares,
    mean_interval,
)
from batch.models.validation import VALIDATION_K, Validation, split_validation
from batch.progress import noop
from batch.sampling import sample
from batch.served.document import describe
from batch.unavailable import Unavailable

_MIN_VALIDATION_USERS: Final = 200  # with fewer, most differences are chance
_RUNG_SHARE: Final = 0.25  # of the interactions, on which the worse candidates are dropped
_NIGHTLY_SECONDS: Final = 3e-6  # for each interaction: about what all else in a refresh takes
_DEFAULT_SHARES: Final = (1.0, 0.25)  # of iALS and popularity, where nothing can be compared
_MAX_FINALISTS: Final = 2  # candidates of a family that are fitted to all users of the search
_MIN_RUNG_INTERACTIONS: Final = 50_000  # fewer are fitted in a moment, and differ by chance


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """Limits of the search.

    Attributes:
        max_interactions: Maximum interactions of the sample of users.
        max_users: Maximum users of the validation set.
        max_scores: Maximum scores of the validation set, its users times the items.
        max_seconds: Maximum estimated time of all candidates, on one processor.
        max_mib: Maximum estimated memory of a candidate, MiB.
        margins: What a blend may cost every night, and must gain. The time is longer where
            the rest of a refresh is.
    """

    max_interactions: int = 2_000_000
    max_users: int = 6_000
    max_scores: int = 150_000_000
    max_seconds: float = 600.0
    max_mib: float = 4_000.0
    margins: Margins = field(default_factory=Margins)

    def margins_of(self, n_interactions: int) -> Margins:
        """Return the margins for data of that many interactions."""
        seconds = max(self.margins.max_seconds, _NIGHTLY_SECONDS * n_interactions)
        return replace(self.margins, max_seconds=seconds)


@dataclass(frozen=True, slots=True)
class ChoiceSearch:
    """The search for the best blend on some data.

    Attributes:
        make: Function from a candidate to its recommender.
        limits: Limits of the search.
        incumbent: Choice of an earlier night, which stays unless another one is
            significantly better; None: no choice was made.
        seed: Random seed of the sample, the validation set and the bootstrap.
    """

    make: Callable[[Candidate], Recommender]
    limits: SearchLimits = SearchLimits()
    incumbent: Choice | None = None
    seed: int = 42

    def __call__(
        self,
        weights: sp.csr_matrix,
        at: Times | None,
        *,
        extent: Extent | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = noop,
    ) -> Choice:
        """Return the best blend for these interactions.

        Args:
            weights: (n_users, n_items) weights of the interactions; not modified.
            at: (n_interactions,) times beside `weights.data`; None if unknown.
            extent: Extent of all data, of which these interactions may be a sample; None:
                they are all.
            n_threads: Number of threads; 0 means one for each usable processor.
            on_step: Callback after each candidate.
        """
        users = sample(weights, at, self.limits.max_interactions, self.seed)
        n_users = min(self.limits.max_users, self.limits.max_scores // max(weights.shape[1], 1))
        validation = split_validation(users.weights, users.at, n_users, self.seed)
        size = Size.of(users.weights, extent or Extent(weights.shape[0], weights.nnz))
        if len(validation.user_rows) < _MIN_VALIDATION_USERS:
            return _unfounded(len(validation.user_rows), size)
        run = _Run(self, validation, size, n_threads, on_step, [])
        choice = run.choose()
        return replace(
            choice,
            tried=tuple(run.tried),
            n_users=len(validation.user_rows),
            n_interactions=users.weights.nnz,
            made_at=0 if at is None else int(at.max(initial=0)),
        )


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a search.

    Attributes:
        search: Candidates' maker, limits and incumbent.
        validation: Validation set.
        size: Size of the data.
        n_threads: Number of threads.
        on_step: Callback after each candidate.
        tried: What was tried so far.
    """

    search: ChoiceSearch
    validation: Validation
    size: Size
    n_threads: int
    on_step: Callable[[], object]
    tried: list[Tried]

    def choose(self) -> Choice:
        """Return the choice, without the figures of the search."""
        entrants = self._entrants()
        margins, seed = self._margins, self.search.seed
        selection = Selection(entrants, self.validation, margins, seed, self.n_threads)
        shares, ndcg, tried = selection.select()
        self.tried.extend(tried)
        incumbent = self._incumbent_shares(entrants)
        if incumbent and incumbent != shares and selection.is_affordable(incumbent):
            [kept] = selection.evaluate([incumbent])
            gain = mean_interval(ndcg - kept, seed)
            why = f"{AGAINST_INCUMBENT}, {selection.named(incumbent)}"
            self.tried.append(
                Tried(selection.named(shares), mean_interval(ndcg, seed), gain, why=why)
            )
            if gain.low <= 0 or not selection.is_worthwhile((shares, ndcg), (incumbent, kept)):
                shares, ndcg = incumbent, kept
        return _choice(entrants, shares, float(ndcg.mean()))

    def _entrants(self) -> list[Entrant]:
        """Return the best candidate of each family that the limits admit."""
        entrants, seconds_left = [], self.search.limits.max_seconds
        for family in FAMILIES:
            candidates = self._candidates(family)
            seconds = family.cost(self.size).seconds * _n_fits(len(candidates))
            if why := self._too_costly(family, seconds, seconds_left):
                self.tried.append(Tried(family.model, None, why=why))
                continue
            try:
                best = self._best_of(candidates, family.final(self.size))
                entrants.append(replace(best, cost=family.cost(self.size)))
            except MemoryLimitError as error:
                self.tried.append(Tried(family.model, None, why=str(error)))
            seconds_left -= seconds
        return entrants

    @property
    def _margins(self) -> Margins:
        return self.search.limits.margins_of(self.size.n_all_interactions)

    def _candidates(self, family: Family) -> list[Candidate]:
        """Return the candidates of a family, that of the incumbent first."""
        incumbent = self.search.incumbent
        parts = incumbent.parts if incumbent else ()
        chosen = [part for part in parts if part.model == family.model]
        return [*chosen, *(one for one in family.candidates(self.size) if one not in chosen)]

    def _too_costly(self, family: Family, seconds: float, seconds_left: float) -> str:
        """Return the limit that a family exceeds; empty if it exceeds none."""
        limits, cost = self.search.limits, family.cost(self.size)
        for what, estimate, limit, unit in (
            ("memory", cost.mib, limits.max_mib, "MiB"),
            ("training", seconds, seconds_left, "s"),
            ("every night", nightly_seconds([cost]), self._margins.max_seconds, "s"),
        ):
            if estimate > limit:
                return f"{what}: about {estimate:,.0f} {unit}, limit {limit:,.0f}"
        return ""

    def _best_of(self, candidates: Sequence[Candidate], final: Mapping[str, Any]) -> Entrant:
        """Return the best of a family's candidates: the worse are dropped on a part of the users.

        Args:
            candidates: Candidates of one family.
            final: Parameters that the others get.
        """
        part = self._part()
        if len(candidates) > _MAX_FINALISTS:
            found = [self._entrant(one, part) for one in candidates]
            found.sort(key=lambda entrant: -float(entrant.ndcg.mean()))
            found = found[:_MAX_FINALISTS]
            if part is self.validation and not final:
                return found[0]
            candidates = [entrant.candidate for entrant in found]
        finalists = [Candidate(one.model, {**one.parameters, **final}) for one in candidates]
        entrants = [self._entrant(one, self.validation) for one in finalists]
        return max(entrants, key=lambda entrant: float(entrant.ndcg.mean()))

    def _part(self) -> Validation:
        """Return a part of the users; all where they are few."""
        weights, at = self.validation.weights, self.validation.at
        max_interactions = int(_RUNG_SHARE * weights.nnz)
        if max_interactions < _MIN_RUNG_INTERACTIONS:
            return self.validation
        part = self.validation.restricted(sample(weights, at, max_interactions, self.search.seed))
        return part if len(part.user_rows) >= _MIN_VALIDATION_USERS else self.validation

    def _entrant(self, candidate: Candidate, validation: Validation) -> Entrant:
        """Fit a candidate and evaluate its lists."""
        began = time.monotonic()
        model = self.search.make(candidate)
        fitted = model.fit(validation.weights, at=validation.at, n_threads=self.n_threads)
        fitted_at = time.monotonic()
        lists = fitted.top_k(VALIDATION_K, user_rows=validation.user_rows, n_threads=self.n_threads)
        listed_at = time.monotonic()
        ndcg = validation.ndcg(lists.item_rows)
        seconds = time.monotonic() - began
        stored = describe(fitted)
        cost = TriedCost(
            fitted_at - began,
            (listed_at - fitted_at) / len(validation.user_rows) * 1000,
            sum(array.nbytes for array in fitted.arrays.values()),
            None if isinstance(stored, Unavailable) else stored.n_bytes,
        )
        why = f"on {validation.weights.nnz:,} interactions"
        interval = mean_interval(ndcg, self.search.seed)
        self.tried.append(Tried(str(candidate), interval, seconds=seconds, why=why, cost=cost))
        self.on_step()
        return Entrant(candidate, fitted, ndcg)

    def _incumbent_shares(self, entrants: Sequence[Entrant]) -> Shares | None:
        """Return the incumbent's shares among the entrants; None if a model is not among them."""
        incumbent = self.search.incumbent
        if incumbent is None:
            return None
        number_of = {entrant.candidate.model: n for n, entrant in enumerate(entrants)}
        chosen = {
            part.model: share
            for part, share in zip(incumbent.parts, incumbent.shares, strict=True)
            if share
        }
        if not chosen.keys() <= number_of.keys():
            return None
        return {number_of[model]: share for model, share in chosen.items()}


def _n_fits(n_candidates: int) -> float:
    """Return the number of fits that a family takes, those to a part counted as a part."""
    if n_candidates <= _MAX_FINALISTS:
        return float(n_candidates)
    return _MAX_FINALISTS + _RUNG_SHARE * n_candidates


def _choice(entrants: Sequence[Entrant], shares: Shares, ndcg: float) -> Choice:
    """Return the choice of these shares; a model for the vectors is added where none is in it."""
    parts = [(entrants[number].candidate, share) for number, share in shares.items()]
    if all(part.model != VECTORS_MODEL for part, _ in parts):
        found = [one.candidate for one in entrants if one.candidate.model == VECTORS_MODEL]
        parts.append((found[0] if found else Candidate(VECTORS_MODEL, {}), 0.0))
    return Choice(tuple(part for part, _ in parts), tuple(share for _, share in parts), ndcg)


def _unfounded(n_users: int, size: Size) -> Choice:
    """Return the choice where there are too few users to compare anything on."""
    why = f"{n_users} users have 2 items, a comparison needs {_MIN_VALIDATION_USERS}"
    parts = (default_ials(size), Candidate(POPULARITY, {}))
    return Choice(parts, _DEFAULT_SHARES, tried=(Tried("all models", None, why=why),))
