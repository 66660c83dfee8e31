"""Loss terms as pure functions, and the criterion that adds them up."""
