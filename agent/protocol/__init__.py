"""Wire types, problem codes and the API version. Pure: the standard library and msgspec only."""
