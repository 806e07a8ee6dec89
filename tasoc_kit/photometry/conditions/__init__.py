"""What befell the spacecraft: where it was, when its wheels were unloaded, what people exclude."""
