"""The tables of the database, the connection to it, and its migrations."""
