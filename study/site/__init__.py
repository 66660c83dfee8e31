"""The study as pages that need no network."""
