"""Scores and costs of a network."""
