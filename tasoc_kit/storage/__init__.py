"""How a product lies on disk or behind a URL: folders, locks, inventories, encodings, units."""
