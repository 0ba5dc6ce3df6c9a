"""What every widget that draws its own lines needs to know: glyphs and the styles of tones."""

from __future__ import annotations

from rich.style import Style

from console.tui.look.glyphs import Glyphs
from console.tui.look.themes import SKINS, styles_of


class Look:
    """Shared by all widgets; `dress` changes it for all of them."""

    def __init__(self, theme: str, glyphs: Glyphs) -> None:
        self.glyphs = glyphs
        self.theme = theme
        self._styles = styles_of(SKINS[theme])

    def dress(self, theme: str) -> None:
        """Take another theme; what is on the screen is the caller's to draw again."""
        self.theme = theme
        self._styles = styles_of(SKINS[theme])

    def style(self, tone: str) -> Style:
        """The style of a tone in `themes.TONES`."""
        return self._styles[tone]
