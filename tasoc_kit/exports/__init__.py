"""What leaves the store: files in the formats of the field, movies, and one star of every sector."""
