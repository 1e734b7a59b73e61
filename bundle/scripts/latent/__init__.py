"""Anomaly scores in the latent space of class-conditional VAEs, and ensembles of them."""
