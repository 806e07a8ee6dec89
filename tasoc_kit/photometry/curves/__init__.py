"""From the tables of the stream to series: algebra on blocks of frames, and the motion of the stars."""
