"""Files of NAME=value lines, as Compose reads them for `env_file` and `--env-file`.

NAME=value # comment      interpolated; the comment wants a space before it
NAME="value"              interpolated; \\n, \\t, \\r, \\" and \\\\ mean what they do elsewhere
NAME='value'              as it stands; \\' is a quote
export NAME=value         as without the word

Quoted values may run over lines.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path

from console.compose.findings import Findings
from console.compose.interpolation import BadTemplateError, UnsetError, interpolate

SIZE_LIMIT = 1 << 20
_NAME = re.compile(r"(?:export[ \t]+)?([A-Za-z0-9_][A-Za-z0-9_.-]*)[ \t]*(=|:|(?=[\r\n#]|$))")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$$"}
_LIKE = "Write NAME=value, one on each line."


def read_env_file(path: Path, findings: Findings, *, line: int | None) -> str | None:
    """The file's text. None where it cannot be had, which is noted at `line` of who names it."""
    try:
        if not path.is_file():
            why = "there is no such file" if not path.exists() else "it is no plain file"
        elif path.stat().st_size > SIZE_LIMIT:
            why = f"it has more than {SIZE_LIMIT >> 20} MiB"
        else:
            return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        why = "it is not UTF-8"
    except (OSError, ValueError) as error:  # ValueError: a null in the path
        why = getattr(error, "strerror", None) or str(error)
    hint = "The path is one on this machine, and starts from the Compose file."
    findings.add("compose.env_file", line, f"{path}: {why}", hint)
    return None


def parse_env_file(
    text: str, *, name: str, variables: Mapping[str, str], findings: Findings, raw: bool = False
) -> dict[str, str]:
    """Names and values. What does not fit is noted with the file's `name` and line.

    `variables` are what values may name, besides what stands above them. `raw`: values are taken
    as they stand.
    """
    return _Lines(text, name, variables, findings).values(raw=raw)


class _Lines:
    def __init__(
        self, text: str, name: str, variables: Mapping[str, str], findings: Findings
    ) -> None:
        self._text = text.replace("\r\n", "\n")
        self._file = name
        self._findings = findings
        self._found: dict[str, str] = {}
        self._known = ChainMap(dict(variables), self._found)
        self._at = 0
        self._line = 1

    def values(self, *, raw: bool) -> dict[str, str]:
        while self._at < len(self._text):
            start = self._at
            if raw:
                self._take_raw()
            else:
                self._take()
            self._line += self._text.count("\n", start, self._at)
        return self._found

    def _rest(self) -> str:
        """The rest of this line; goes on behind it."""
        end = self._text.find("\n", self._at)
        end = len(self._text) if end < 0 else end
        rest = self._text[self._at : end]
        self._at = end + 1
        return rest

    def _take_raw(self) -> None:
        line = self._rest()
        if not line.strip() or line.lstrip().startswith("#"):
            return
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            self._wrong("this is not NAME=value", _LIKE)
            return
        self._found[name.strip()] = value

    def _take(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in " \t":
            self._at += 1
        if self._at >= len(self._text) or self._text[self._at] in "\n#":
            self._rest()
            return
        match = _NAME.match(self._text, self._at)
        if match is None:
            self._rest()
            self._wrong("this is not NAME=value", _LIKE)
            return
        self._at = match.end()
        if not match[2]:
            self._rest()
            hint = "Write NAME= and its value: what is set around roost is never taken."
            self._wrong(f"{match[1]} has no value", hint)
            return
        value = self._value()
        if value is not None:
            self._found[match[1]] = value

    def _value(self) -> str | None:
        start = self._at
        while self._text.startswith((" ", "\t"), self._at):
            self._at += 1
        quote = self._text[self._at : self._at + 1]
        if quote in ("'", '"'):
            return self._quoted(quote)
        self._at = start  # a comment wants the space
        return self._filled(self._rest().partition(" #")[0].strip())

    def _quoted(self, quote: str) -> str | None:
        end = self._closing(quote)
        if end is None:
            self._rest()
            self._wrong(f"the quote {quote} is not closed", "Close it, or leave it out.")
            return None
        inside = self._text[self._at + 1 : end]
        first_line = self._line
        self._at = end + 1
        rest = self._rest().strip()
        if rest and not rest.startswith("#"):
            self._wrong(f"{rest[:40]!r} stands behind the closing quote", "Take it out.")
            return None
        if quote == "'":
            return inside.replace("\\'", "'")
        return self._filled(re.sub(r"\\(.)", _unescape, inside, flags=re.DOTALL), first_line)

    def _closing(self, quote: str) -> int | None:
        at = self._at + 1
        while at < len(self._text):
            if self._text[at] == "\\":
                at += 2
            elif self._text[at] == quote:
                return at
            else:
                at += 1
        return None

    def _filled(self, value: str, line: int | None = None) -> str | None:
        try:
            return interpolate(value, self._known)
        except BadTemplateError as error:
            self._wrong(str(error), "A dollar sign that is meant as one is written twice: $$", line)
        except UnsetError as unset:
            how = "is empty" if unset.empty else "is not set"
            why = f": {unset.why}" if unset.why else ""
            self._findings.add(
                "compose.variable",
                line or self._line,
                f"the variable {unset.name} {how}{why}",
                f"Give it a value with --set {unset.name}=..., or put the value into single quotes"
                " to have it as it stands.",
                file=self._file,
            )
        return None

    def _wrong(self, what: str, hint: str, line: int | None = None) -> None:
        self._findings.add("compose.env_file", line or self._line, what, hint, file=self._file)


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[0])
