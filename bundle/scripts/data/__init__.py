"""Files to slices (data lists, splits, preprocessing, slice cache, phantoms), and sets of small images."""
