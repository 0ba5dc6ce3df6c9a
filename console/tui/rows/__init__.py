"""Records of the picture as rows of a table. Pure: no Textual."""
