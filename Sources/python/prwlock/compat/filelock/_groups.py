"""How an error of a body and the error of the release are raised together, for the policy ``group``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn


def can_group() -> bool:
    """Returns whether this Python has exception groups."""
    return sys.version_info >= (3, 11)


def raise_both(text: str, *errors: BaseException) -> NoReturn:
    """Raises a group of errors. None of them shows another one of the group as its context."""
    if sys.version_info < (3, 11):
        # The options refuse the policy "group" on such a version, so only a chain is asked for.
        raise errors[-1] from errors[0]
    _detach(errors)
    raise BaseExceptionGroup(text, errors) from None  # noqa: F821


def _detach(errors: Sequence[BaseException]) -> None:
    """Removes the contexts that repeat a part of the group."""
    members = {id(member) for error in errors for member in _tree(error)}
    pending = list(errors)
    seen: set[int] = set()
    while pending:
        error = pending.pop()
        if id(error) in seen:
            continue
        seen.add(id(error))
        context = error.__context__
        if context is not None:
            if id(context) in members or _is_same(error, context):
                error.__context__ = None
            else:
                pending.append(context)
        if error.__cause__ is not None:
            pending.append(error.__cause__)
        pending += _parts(error)


def _parts(error: BaseException) -> Sequence[BaseException]:
    parts: Sequence[BaseException] = getattr(error, "exceptions", ())
    return parts if isinstance(parts, tuple) else ()


def _tree(error: BaseException) -> Iterator[BaseException]:
    """Iterates over an error and all parts of it, each one once: groups may share their parts."""
    pending = [error]
    seen: set[int] = set()
    while pending:
        part = pending.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            pending += _parts(part)


def _is_same(first: BaseException, second: BaseException) -> bool:
    """Returns whether two errors are the same one, or equal groups of the same ones."""
    pending = [(first, second)]
    seen: set[tuple[int, int]] = set()
    while pending:
        one, other = pending.pop()
        if one is other or (id(one), id(other)) in seen:
            continue
        seen.add((id(one), id(other)))
        parts, others = _parts(one), _parts(other)
        if type(one) is not type(other) or not parts or len(parts) != len(others) or one.args[0] != other.args[0]:
            return False
        pending += zip(parts, others)
    return True
