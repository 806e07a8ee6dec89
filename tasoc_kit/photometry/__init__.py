"""From a cube of frames to light curves, one step a module."""
