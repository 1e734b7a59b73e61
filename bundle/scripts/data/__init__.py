"""Files to slices: data lists, splits, preprocessing, slice cache, phantoms."""
