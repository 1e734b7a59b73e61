"""What the CL-VAE has to beat on small images: detectors with ``fit`` on a split and ``score`` of images."""
