"""Checks before a scan is mapped, in the manner of nibabel's battery: small functions that return reports."""
