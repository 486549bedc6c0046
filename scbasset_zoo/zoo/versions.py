"""The order of versions."""

from __future__ import annotations

from typing import Any


def version_order(version: str) -> Any:
    """Return the sorting key of a version: all pre-releases come before all releases, each in the order of semver.org."""
    from semver import Version

    core, _, prerelease = version.partition("-")
    major, minor, patch = map(int, core.split("."))
    # Version.parse would refuse some versions that cards may have, such as 1.0.0-01.
    return not prerelease, Version(major, minor, patch, prerelease or None)
