"""Speed and memory of inference, measured side by side: ``python -m benchmarks.run``."""
