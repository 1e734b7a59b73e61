"""From a network to maps: latent draws, variance decomposition, scores."""
