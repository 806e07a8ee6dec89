"""The pages of each pipeline: a module whose ``PAGES`` lists them; ``store`` has those of all."""
