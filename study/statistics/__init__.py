"""Scores on resamples of images and seeds, and the intervals of their differences."""
