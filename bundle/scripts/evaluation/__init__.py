"""Arrays in, numbers out: the measurements of detection, and the thresholds that come from normal slices."""
