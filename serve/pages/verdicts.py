"""What the report of a generation says in short: its verdict, and whether a group is served worse.

    report.json ─► good │ look at it: why │ refused: why
                └► no group is served worse │ served worse: which

The file does not belong to the snapshot: it may be missing, made again, or anything else.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from serve.pages.documents import number, text
from store.gate_result import OVERRIDDEN, REFUSED
from store.group_quality import worse_groups
from store.layout import REPORT_JSON, snapshot_folder
from store.parse import parse_json_object, read_small

_FORMAT_VERSION: Final = 1
_WORDS: Final = {"green": "good", "amber": "look at it", "red": "refused"}
_IN_SHORT: Final = {  # the sentence has the checks that failed, and an operator's reason
    OVERRIDDEN: "the gate refused it, and was overridden",
    REFUSED: "by the gate",
}
_MAX_BYTES: Final = 1 << 23
_MAX_CHARACTERS: Final = 300
_MAX_GROUPS: Final = 100


@dataclass(frozen=True, slots=True)
class ReportVerdict:
    """A report in short.

    Attributes:
        word: "good", "look at it" or "refused"; "no report" or "not readable" without one.
        why: Reason in words; empty if the word is "good" or "no report".
        worse_groups: Groups that are served significantly worse than all users; None if no
            group was evaluated.
        groups: Whether a group is served worse, in words.
        min_group_users: Evaluated users of which a group is shown; None without a report.
    """

    word: str
    why: str = ""
    worse_groups: tuple[str, ...] | None = None
    groups: str = "not known"
    min_group_users: int | None = None


class _Read(NamedTuple):
    """A verdict, and the file that it was read from: its time, size and number."""

    file: tuple[int, int, int]
    verdict: ReportVerdict


class ReportVerdicts:
    """The verdicts of a store's reports; each is read again when its file has changed.

    Args:
        store: Directory of the store.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._read: dict[int, _Read] = {}

    def of(self, generation: int) -> ReportVerdict:
        """Return the verdict of the report of a generation."""
        path = snapshot_folder(self._store, generation) / REPORT_JSON
        try:
            found = path.stat()
        except OSError:
            self._read.pop(generation, None)
            return ReportVerdict("no report")
        file = found.st_mtime_ns, found.st_size, found.st_ino
        if generation not in self._read or self._read[generation].file != file:
            self._read[generation] = _Read(file, _verdict(path, generation))
        return self._read[generation].verdict


def verdicts_in_service(
    verdicts: ReportVerdicts, service: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the verdict of each generation that users are served, with its arms.

    Args:
        verdicts: Verdicts of the store.
        service: State of the service, with `generation` and `experiment`.
    """
    experiment = service["experiment"]
    arms = experiment["arms"] if experiment else []
    served = {one["generation"] for one in arms} | {service["generation"]} - {None}
    return [
        {
            "generation": generation,
            "arms": [arm["name"] for arm in arms if arm["generation"] == generation],
            "report": asdict(verdicts.of(generation)),
        }
        for generation in sorted(served)
    ]


def _verdict(path: Path, generation: int) -> ReportVerdict:
    try:
        return _parsed(parse_json_object(read_small(path, _MAX_BYTES)), generation)
    except FileNotFoundError:
        return ReportVerdict("no report")
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        why = f"{REPORT_JSON} is not a report of this generation: {error!s:.{_MAX_CHARACTERS}}"
        return ReportVerdict("not readable", why)


def _parsed(document: dict[str, Any], generation: int) -> ReportVerdict:
    if document["format_version"] != _FORMAT_VERSION or document["generation"] != generation:
        raise ValueError("its format or its generation is another")
    found, result = document["verdict"], document["gate"]["result"]
    word = _WORDS.get(text(found["colour"]))
    if word is None:
        raise ValueError("its verdict has another colour")
    why = _IN_SHORT.get(result) or _reason(text(found["sentence"]), generation)
    worse, said = _groups(document)
    is_good = word == _WORDS["green"]
    n_users = round(number(document["groups"]["min_users"]))
    return ReportVerdict(word, "" if is_good else why, worse, said, n_users)


def _reason(sentence: str, generation: int) -> str:
    """Return the sentence of a verdict without what stands beside it: generation and gate."""
    for known in (f"Generation {generation} ", "passed the gate, but "):
        sentence = sentence.removeprefix(known)
    return sentence[:_MAX_CHARACTERS].rstrip(".")


def _groups(document: dict[str, Any]) -> tuple[tuple[str, ...] | None, str]:
    """Return the groups that are served worse, and the answer in words."""
    groups, last_day = document["groups"], document["quality"]["last_day"]
    shown = [
        {"group": text(one["group"])[:_MAX_CHARACTERS], "ndcg": _interval(one["ndcg"])}
        for one in groups["shown"][:_MAX_GROUPS]
    ]
    n_small, n = round(number(groups["n_suppressed"])), len(shown)
    small = f"; {n_small} {'is' if n_small == 1 else 'are'} too small to tell" if n_small else ""
    if not shown:
        return None, f"not known: no group was evaluated{small}"
    worse = tuple(worse_groups(shown, _interval(last_day["ndcg"]["new"])))
    if worse:
        return worse, f"yes: {', '.join(worse)}{small}"
    return worse, f"no, {'not the one group shown' if n == 1 else f'none of {n} groups'}{small}"


def _interval(value: Any) -> tuple[float, float, float]:
    mean, low, high = value
    return number(mean), number(low), number(high)
