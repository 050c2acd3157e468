"""The version of this release, which stands in one file of the sources and in the metadata of the wheel."""

from __future__ import annotations

import os
import re

_FILE = ("LockVocabulary", "Release.swift")


def version() -> str:
    """The version: of the sources around this package where there are any, else of the installed wheel."""
    sources = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        with open(os.path.join(sources, *_FILE), encoding="utf-8") as file:
            versions: list[str] = re.findall(r'version = "([^"]+)"', file.read())
            return versions[0]
    except OSError:
        from importlib.metadata import version as installed

        return installed("prwlock")
