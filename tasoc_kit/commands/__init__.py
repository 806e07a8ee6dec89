"""What the verbs of ``tasoc`` do; ``cli`` holds their names, options and help."""
