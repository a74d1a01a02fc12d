"""The choice of `auto`: models, their parameters and shares, and the evidence for them.

It is stored in the manifest, so that later nights start from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

from batch.evaluation.bootstrap import Interval
from batch.unavailable import Unavailable

MIN_GAIN: Final = 0.002  # share of its NDCG by which another must be better than the one so far
AGAINST_INCUMBENT: Final = "against the choice so far"  # what the last of `tried` is compared with
VECTORS_MODEL: Final = "ials"  # the model whose factors the index and the tables need


class Candidate(NamedTuple):
    """A model with parameters.

    Attributes:
        model: Name of the model, as in `[batch] model`.
        parameters: Settings in place of the configured ones.
    """

    model: str
    parameters: Mapping[str, Any]

    def __str__(self) -> str:
        values = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        return f"{self.model} ({values})" if values else self.model


@dataclass(frozen=True, slots=True)
class TriedCost:
    """Time, memory and disk of a candidate on the validation set.

    Attributes:
        train_seconds: Training time.
        ms_per_list: Time of a list, mean over the users of the validation set, milliseconds.
        memory_bytes: Size of the arrays that inference needs.
        disk_bytes: Size of the model's files in a snapshot, for users to be folded in; None of
            a model that cannot fold in users from files.
    """

    train_seconds: float
    ms_per_list: float
    memory_bytes: int
    disk_bytes: int | None


@dataclass(frozen=True, slots=True)
class Tried:
    """What a candidate, or a blend of candidates, achieved on the validation set.

    Attributes:
        name: Candidate, or candidates with their shares.
        ndcg: Mean NDCG@20 with its interval; None if it was left out.
        gain: Paired difference to what it was compared with; None for the first.
        seconds: Time of its training and evaluation; 0 for a blend.
        why: Reason for leaving it out, or what it was compared with.
        cost: Time, memory and disk of a candidate; None of a blend, and where it was left out.
    """

    name: str
    ndcg: Interval | None
    gain: Interval | None = None
    seconds: float = 0.0
    why: str = ""
    cost: TriedCost | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Models whose standardised scores are added.

    Attributes:
        parts: Models with their parameters. The first one with the name `VECTORS_MODEL`
            makes the vectors of the index.
        shares: Share of each part's score; 0 for one that only makes vectors.
        ndcg: NDCG@20 on the validation set.
        tried: Everything that was tried, in order.
        n_users: Users of the validation set.
        n_interactions: Interactions of the search.
        made_at: Latest time in the data of the search, seconds since 1970; 0 if unknown.
    """

    parts: tuple[Candidate, ...]
    shares: tuple[float, ...]
    ndcg: float = 0.0
    tried: tuple[Tried, ...] = field(default=(), compare=False)
    n_users: int = 0
    n_interactions: int = 0
    made_at: int = 0

    def __str__(self) -> str:
        shown = [
            f"{share:g} × {part.model}"
            for part, share in zip(self.parts, self.shares, strict=True)
            if share
        ]
        return " + ".join(shown)

    @property
    def vectors(self) -> Candidate:
        """Part whose factors the index and the tables need."""
        return next(part for part in self.parts if part.model == VECTORS_MODEL)

    @property
    def challenge(self) -> Tried | None:
        """The best other blend beside the choice so far; None if nothing was compared with it."""
        last = self.tried[-1] if self.tried else None
        return last if last and last.why.startswith(AGAINST_INCUMBENT) else None

    def as_json(self) -> dict[str, Any]:
        """Return the choice as it stands in the manifest."""
        return {
            "parts": [
                {"model": part.model, "parameters": dict(part.parameters), "share": share}
                for part, share in zip(self.parts, self.shares, strict=True)
            ],
            **{name: getattr(self, name) for name in ("n_users", "n_interactions", "made_at")},
            "ndcg": self.ndcg,
            "tried": [_rounded(asdict(one)) for one in self.tried],
        }


def choice_of(found: object, parameters: Sequence[str]) -> Choice | Unavailable:
    """Return the choice in a manifest.

    Args:
        found: JSON value of another refresh, perhaps of another version.
        parameters: Names of the settings that a part may set.
    """
    try:
        assert isinstance(found, Mapping)
        parts = [
            (part["model"], part["parameters"], float(part["share"])) for part in found["parts"]
        ]
        known = all(set(values) <= set(parameters) for _, values, _ in parts)
        if not known or VECTORS_MODEL not in [model for model, _, _ in parts]:
            return Unavailable("the choice of the served snapshot is of another version")
        return Choice(
            tuple(Candidate(str(model), dict(values)) for model, values, _ in parts),
            tuple(share for _, _, share in parts),
            float(found["ndcg"]),
            n_users=int(found["n_users"]),
            n_interactions=int(found["n_interactions"]),
            made_at=int(found["made_at"]),
        )
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError):
        return Unavailable("the served snapshot has no choice")


def _rounded(found: Any) -> Any:
    if isinstance(found, float):
        return round(found, 5)
    if isinstance(found, Mapping):
        return {name: _rounded(value) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [_rounded(value) for value in found]
    return found
