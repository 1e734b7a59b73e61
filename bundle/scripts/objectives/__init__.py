"""Training objectives: the evidence lower bound and its schedule."""
