"""Commands: a list, or one text that is split as a shell would."""

from __future__ import annotations

import shlex

from console.compose.reading import Place


def read_command(place: Place | None) -> list[str] | None:
    """The words; [] where it is empty, None where nothing is given or it does not fit."""
    if place is None:
        return None
    if not place.is_text():
        return place.texts()
    text = place.text()
    if text is None:
        return None
    try:
        return shlex.split(text)
    except ValueError as error:
        hint = "Close the quote, or write the command as a list."
        place.wrong(f"cannot be split into words: {str(error).lower()}", hint)
        return None
