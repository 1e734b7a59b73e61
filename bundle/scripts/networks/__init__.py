"""Tensors to tensors: attention and the Bayesian VAE; nothing here knows of files."""
