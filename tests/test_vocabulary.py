"""One vocabulary: the words that the project does not use, kept out of all its text."""

import re
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_NOT_OURS_TO_WORD = {"CHANGELOG.md", "LICENSE"}  # old names in the one, a lawyer's in the other
_TEXT = {".py", ".md", ".toml", ".html", ".json", ".conf", ".sh", ".c", ".lua", ".yml", ".yaml", ""}
_AVOIDED = re.compile(
    r"""\b(
    meetings? | heard | hears | unheard | by\ lot | taste_of | yardsticks? | whoever | surely
    | nobody\ has\ had | condemned | undeterred | furnished | none\ but | way\ out | likewise
    | happenings? | mends? | mended | mending | goes?\ on\ being | are\ none
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_NOT_A_NOUN_PHRASE = re.compile(
    r"^ {4,}\*{0,2}[a-z_]\w*(, \*{0,2}\w+)*: (Of|As|Its|Their|Likewise|Whose|Those)\b"
)


def tracked_files():
    """Return every file of the project that is text, but this one and the history."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout: the project's files cannot be told from others")
    names = set(listed.stdout.split("\0")) - {"", *_NOT_OURS_TO_WORD}
    files = [_ROOT / name for name in sorted(names) if Path(name).suffix in _TEXT]
    return [file for file in files if file.is_file() and file != Path(__file__).resolve()]


def lines_matching(pattern, files):
    """Return `file:line: text` of every line in which the pattern is found."""
    return [
        f"{file.relative_to(_ROOT)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_avoided_word_in_code_help_or_documents():
    """Names, comments, messages, help texts and manuals use the field's words."""
    assert lines_matching(_AVOIDED, tracked_files()) == []


def test_docstring_entries_are_noun_phrases():
    """An entry of Args or Attributes says what the thing is: `seed: Random seed of …`."""
    python = [file for file in tracked_files() if file.suffix == ".py"]
    assert len(python) > 100
    assert lines_matching(_NOT_A_NOUN_PHRASE, python) == []


@pytest.mark.parametrize(
    ("pattern", "line", "is_found"),
    [
        (_AVOIDED, "drawn by lot", True),
        (_AVOIDED, "n_meetings = 3  # Meetings of two", True),
        (_AVOIDED, "allotment, amends", False),
        (_NOT_A_NOUN_PHRASE, "        seed: Of everything random.", True),
        (_NOT_A_NOUN_PHRASE, "        seed: Random seed of sampling.", False),
    ],
)
def test_the_patterns_find_what_they_should(pattern, line, is_found):
    """The twin: a line that breaks the rule is seen, a similar one that does not is not."""
    assert bool(pattern.search(line)) == is_found
