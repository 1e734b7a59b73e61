"""The bundle's command line, as in the tests of the bundle."""

from __future__ import annotations

from tests.bundle.conftest import commands, random_model

__all__ = ["commands", "random_model"]
