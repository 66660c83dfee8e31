"""Data sets: a name, a split of frames, training samples."""
