"""What the sky of a frame is made of, and the sky as images."""
