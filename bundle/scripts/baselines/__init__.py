"""What a model has to beat: detectors with the same two methods, ``fit`` and ``score``."""
