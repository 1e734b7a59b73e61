"""Files on disk: atomic writes, NIfTI maps, results of a scan and of a cohort."""
