"""The study: what is compared, planned, judged and drawn."""
