"""The bundle's command line, and a writer without pictures, as in the tests of bundle and properties."""

from __future__ import annotations

from tests.bundle.conftest import commands, random_model
from tests.properties.conftest import lean_writer

__all__ = ["commands", "lean_writer", "random_model"]
