"""Model packages for importers: write a package, read it, and verify it."""

from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.verifying import verify_package
from scbasset_zoo.package.writing import write_package

__all__ = ["Package", "verify_package", "write_package"]
