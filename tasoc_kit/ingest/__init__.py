"""Raw files that come in: received, checked, kept by what they contain, catalogued."""
