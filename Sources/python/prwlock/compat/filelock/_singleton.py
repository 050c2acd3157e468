"""How lock objects are made: options are checked first, and a singleton is the same object for the same path."""

from __future__ import annotations

import inspect
import os
from abc import ABCMeta
from typing import Any, Callable, Optional, TypeVar
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from ..._forking import Guarded
from .._paths import PathLike
from ._options import (
    UNSET_MODE,
    CloseErrorPolicy,
    ContextErrorPolicy,
    check_blocking,
    check_mode,
    check_policies,
    lifetime_seconds,
    poll_seconds,
    same_timeout,
    seconds,
)

Made = TypeVar("Made")


class SingletonMeta(ABCMeta):
    """Has the singletons of a class: one object for each path."""

    _instances: WeakValueDictionary[str, Any]

    def __init__(cls, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        _making.begin(cls)

    def _find(cls, path: PathLike, make: Callable[[], Made]) -> tuple[Made, bool]:
        """Returns the object for a path, and whether it is new."""
        key = os.path.realpath(os.fspath(path))
        with _making.guard:
            found: Optional[Made] = cls._instances.get(key)
            # A relative path leads elsewhere after a change of the folder.
            if found is not None and found._is_at(key):  # type: ignore[attr-defined]
                return found, False
            made = cls._instances[key] = make()
            return made, True


class _Making(Guarded):
    """Guards the singletons of all classes while one is found or made."""

    def __init__(self) -> None:
        super().__init__()
        self._classes: WeakSet[SingletonMeta] = WeakSet()

    def begin(self, kind: SingletonMeta) -> None:
        """Gives a class no singletons."""
        self._classes.add(kind)
        kind._instances = WeakValueDictionary()

    def after_fork(self) -> None:
        super().after_fork()
        # A child makes its own objects: those of the parent may be in the middle of a call.
        for kind in list(self._classes):
            self.begin(kind)


_making = _Making()


class _Signature:
    """The options that the constructor of a class accepts, and the defaults of its metaclass."""

    def __init__(self, cls: type) -> None:
        parameters = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
        self._accepted = {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
        self._accepts_all = any(one.kind is one.VAR_KEYWORD for one in parameters)
        made = inspect.signature(type(cls).__call__).parameters.values()
        self._defaults = {one.name: one.default for one in made if one.default is not one.empty}

    def accepted(self, kind: str, options: dict[str, Any]) -> dict[str, Any]:
        """Returns the options for the constructor.

        Raises:
            TypeError: it does not accept an option that has another value than the default.
        """
        if self._accepts_all:
            return options
        missing = object()
        wrong = sorted(
            name
            for name, value in options.items()
            if name not in self._accepted and value != self._defaults.get(name, missing)
        )
        if wrong:
            raise TypeError(f"{kind} does not support non-default lock options: {', '.join(wrong)}")
        return {name: value for name, value in options.items() if name in self._accepted}


_signatures: WeakKeyDictionary[type, _Signature] = WeakKeyDictionary()


def _signature(cls: type) -> _Signature:
    found = _signatures.get(cls)
    if found is None:
        found = _signatures[cls] = _Signature(cls)
    return found


class FileLockMeta(SingletonMeta):
    """Checks the options of a lock, and finds the object of a singleton."""

    #: What to use instead of a lifetime: (a lock without one, a lease). None where a lifetime is ignored.
    _lifetime_replacements: Optional[tuple[str, str]]
    #: Whether its file is there as long as the lock is held, and only then.
    _is_soft: bool

    def __call__(
        cls,
        lock_file: PathLike,
        timeout: float = -1,
        mode: int = UNSET_MODE,
        thread_local: bool = True,
        *,
        blocking: bool = True,
        is_singleton: bool = False,
        poll_interval: float = 0.05,
        lifetime: Optional[float] = None,
        context_error_policy: ContextErrorPolicy = "chain",
        close_error_policy: CloseErrorPolicy = "default",
        fallback_to_soft: bool = True,
        preserve_lock_file: bool = False,
        on_acquired: Optional[Callable[[int], None]] = None,
        **extras: Any,
    ) -> Any:
        return cls._made(
            lock_file,
            {
                "timeout": seconds("timeout", timeout),
                "mode": mode,
                "thread_local": thread_local,
                "blocking": blocking,
                "is_singleton": is_singleton,
                "poll_interval": poll_seconds(poll_interval),
                "lifetime": lifetime_seconds(lifetime, cls.__name__, cls._lifetime_replacements, 3),
                "context_error_policy": context_error_policy,
                "close_error_policy": close_error_policy,
                "fallback_to_soft": fallback_to_soft,
                "preserve_lock_file": preserve_lock_file,
                "on_acquired": on_acquired,
            },
            extras,
        )

    def _made(cls, lock_file: PathLike, options: dict[str, Any], extras: dict[str, Any]) -> Any:
        kind = cls.__name__
        os.fspath(lock_file)
        check_blocking(options["blocking"])
        check_policies(options["context_error_policy"], options["close_error_policy"])
        if cls._is_soft and options["preserve_lock_file"]:
            raise ValueError(
                f"preserve_lock_file=True is not supported by {kind}: unlinking its marker is how it releases"
            )
        if cls._is_soft and options["on_acquired"] is not None:
            raise ValueError(f"on_acquired is not supported by {kind}: only native locks expose the lock descriptor")
        accepted = _signature(cls).accepted(kind, {**options, **extras})

        def make() -> Any:
            check_mode(options["mode"], kind)
            return super(FileLockMeta, cls).__call__(lock_file, **accepted)

        if not options["is_singleton"]:
            return make()
        lock, is_new = cls._find(lock_file, make)
        if not is_new:
            _check_same(lock, options, lock._differences(extras))
        return lock


def _check_same(lock: Any, options: dict[str, Any], more: dict[str, tuple[Any, Any]]) -> None:
    """Refuses to return an existing object for other options than it has; the wait and the hooks count too."""
    there = {name: getattr(lock, name) for name in options if name not in ("thread_local", "is_singleton", "mode")}
    there.update(thread_local=lock.is_thread_local(), mode=lock._context.mode)
    differing = {name: (value, options[name]) for name, value in there.items() if options[name] != value}
    if same_timeout(options["timeout"], lock.timeout, is_any_negative=True):
        differing.pop("timeout", None)
    if options["on_acquired"] is not lock.on_acquired:
        differing["on_acquired"] = lock.on_acquired, options["on_acquired"]
    differing.update(more)
    if differing:
        lines = (f"\n\t{name} (existing lock has {old} but {new} was passed)" for name, (old, new) in differing.items())
        raise ValueError(
            "Singleton lock instances cannot be initialized with differing arguments\nNon-matching arguments: "
            + "".join(lines)
        )
