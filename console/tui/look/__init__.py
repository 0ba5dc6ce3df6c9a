"""How things look: glyphs, tones, themes, and figures as words."""
