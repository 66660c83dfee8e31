"""Speeds against named rivals."""
