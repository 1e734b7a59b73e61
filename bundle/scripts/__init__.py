"""Brain-MRI anomaly maps with uncertainty, and the CL-VAE: the code behind the bundle's configs.

The sub-packages point one way: ``data -> networks -> objectives, uncertainty -> evaluation ->
engines, report``; configs wire them together and hold every path and every choice.
"""

from pathlib import Path

__version__ = "0.1.0"

BUNDLE_ROOT = Path(__file__).resolve().parent.parent
"""Folder that holds ``configs/``, ``models/``, ``scripts/`` and ``docs/``."""
