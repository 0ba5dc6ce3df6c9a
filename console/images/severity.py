"""How bad an advisory says that it is: its CVSS vectors, or a word where it has none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from cvss import CVSS2, CVSS3, CVSS4
from cvss.exceptions import CVSSError

from console.images.osv import OsvAdvisory, OsvAffected, OsvSeverity

Level = Literal["low", "medium", "high", "critical"]
LEVELS: tuple[Level, ...] = ("low", "medium", "high", "critical")
# CVSS v3.1 and v4.0, "Qualitative Severity Rating Scale". NVD rates scores of v2 like this, too,
# but has no "critical" for them.
_SCALE: tuple[tuple[float, Level], ...] = (
    (9.0, "critical"),
    (7.0, "high"),
    (4.0, "medium"),
    (0.1, "low"),
)
_VECTORS = {"CVSS_V2": CVSS2, "CVSS_V3": CVSS3, "CVSS_V4": CVSS4}
# Words of GitHub, Ubuntu, Debian and Red Hat.
_WORDS: dict[str, Level] = {
    "low": "low",
    "negligible": "low",
    "unimportant": "low",
    "medium": "medium",
    "moderate": "medium",
    "high": "high",
    "important": "high",
    "critical": "critical",
}
_KEYS = ("severity", "urgency")  # of ecosystem_specific and database_specific


def level_of(advisory: OsvAdvisory, affected: OsvAffected) -> Level | None:
    """The worst that it says of this package; None: it says nothing that is understood."""
    said = [*(affected.severity or ()), *(advisory.severity or ())]
    # Ubuntu knows how it built the package; the vectors are of the flaw wherever it is.
    said = [each for each in said if each.type not in _VECTORS] or said
    rated = [level for each in said if (level := _rated(each)) is not None]
    if not rated:
        specific = (
            affected.ecosystem_specific,
            affected.database_specific,
            advisory.database_specific,
        )
        rated = list(_worded(specific))
    return max(rated, key=LEVELS.index, default=None)


def _rated(said: OsvSeverity) -> Level | None:
    vector = _VECTORS.get(said.type)
    if vector is None:
        return _WORDS.get(said.score.lower())
    try:
        score = float(vector(said.score).scores()[0])
    except (CVSSError, ValueError):
        return None
    level = next((level for least, level in _SCALE if score >= least), None)
    return "high" if said.type == "CVSS_V2" and level == "critical" else level


def _worded(specific: Iterable[Any]) -> Iterable[Level]:
    for words in specific:
        if isinstance(words, dict):
            for key in _KEYS:
                word = words.get(key)
                if isinstance(word, str) and word.lower() in _WORDS:
                    yield _WORDS[word.lower()]
