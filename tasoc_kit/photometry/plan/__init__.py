"""What is learned from the few frames of the plan: which they are, their skies, their noise."""
