"""`prwlock.compat.filelock` under the name of filelock, for filelock's own tests.

A test that uses a name which does not exist here (private modules and functions, locks of descriptors) is skipped, as
is one that patches such a name.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any, Optional

import pytest
from prwlock.compat import filelock as ours
from prwlock.compat.filelock import *  # noqa: F403

#: Modules that the original's modules import, and that its tests patch there.
_STANDARD = ("os", "threading", "time")
_found: dict[str, Any] = {}


class _Missing(type):
    """The type of what does not exist here. A test that uses it is skipped; a test file may name it."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _use(f"{cls.__name__}.{name}")

    def __call__(cls, *_: Any, **__: Any) -> Any:
        return _use(f"{cls.__name__}()")

    def __instancecheck__(cls, _: object) -> bool:
        return False


def _use(name: str) -> Any:
    if "PYTEST_CURRENT_TEST" in os.environ:
        pytest.skip(f"{name} does not exist here")
    return _Missing(name, (), {})


def _find(module: str, name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if name in _STANDARD:
        return importlib.import_module(name)
    full = f"{module}.{name}"
    if full not in _found:
        _found[full] = getattr(ours, name) if name in ours.__all__ else _Missing(full, (), {})
    return _found[full]


class _Modules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module for each module of the original. It has the public names."""

    def find_spec(self, name: str, *_: Any) -> Optional[importlib.machinery.ModuleSpec]:
        if not name.startswith("filelock.") or name.endswith(_STANDARD):
            return None
        return importlib.util.spec_from_loader(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        module.__path__ = []
        module.__dict__["__getattr__"] = lambda name: _find(spec.name, name)
        return module

    def exec_module(self, _: ModuleType) -> None:
        """Does nothing: the names are found when they are used."""


sys.meta_path.append(_Modules())


def __getattr__(name: str) -> Any:
    if name.startswith("_") and not name.startswith("__"):
        return importlib.import_module(f"filelock.{name}")
    return _find("filelock", name)
