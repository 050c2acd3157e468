"""``hold`` and ``release``: a lock for the rest of a script, like ``exec 4>file; flock 4`` and ``flock -u 4``.

    [ hold ] ── fork ──▶ [ ASKING ] ── granted ──▶ [ HOLDING ] ── process ended, TERM ──▶ releases, ends
       ▲                     │                         │
       └──── status, token ──┴─────────────────────────┘

The forked process requests the lock, because the process that requests a lock holds it (G6). The foreground process
waits for its answer and exits with the status in it. Until it answers, the forked process keeps the terminal and ends
if the foreground process ends.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
from typing import NoReturn, Optional

from . import _hold_mark
from ._attempt import Asked, Attempt
from ._caller import shown, to_hold_for
from ._deadline import PATIENCE
from ._errors import AcquireTimeout
from ._harmless import harmless
from ._held import conflict
from ._hold_keeper import GrantKeeper, Wanted
from ._hold_mark import Grant, Watch
from ._location import Location
from ._rendezvous import connect
from ._shown import in_words, typed
from ._standard import Complaint, complain, say
from ._talk import Talk
from ._wire import acquire_options

_NO = 1
_NO_INPUT = 66
_TEMPORARY = 75
_NOT_PERMITTED = 77
_ANSWER = struct.Struct("=iQ")


def hold(asked: Asked) -> int:
    """Holds a lock for a process; returns the exit status.

    Raises:
        Complaint: the lock cannot be held for this process.
    """
    options = acquire_options(asked.lease, asked.note)
    caller = to_hold_for(asked.process, asked.name)
    try:
        client = Watch(caller.process)
    except ProcessLookupError as error:
        raise Complaint(str(error), _NO_INPUT) from None
    owner = _hold_mark.owner_for(caller.process)
    wanted = Wanted(asked.mode.encode(), asked.name, owner, options, asked.lease)
    near, far = socket.socketpair()
    child = os.fork()
    if child == 0:
        near.close()
        _run_holder(asked, wanted, client, far)
    # Each process closes the other's end: only then does it notice when the other process ends.
    far.close()
    answer = near.recv(_ANSWER.size, socket.MSG_WAITALL)
    # If the holder died without an answer, that is an error of the system.
    status, token = _ANSWER.unpack(answer) if len(answer) == _ANSWER.size else (71, 0)
    if status:
        return int(status)
    if asked.prints_token:
        try:
            say(str(token))
        except BaseException:
            # The caller did not receive the token, so release the lock.
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
            raise
    if _is_on_terminal():
        complain(
            f"{shown(asked.name)} is held for process {caller.process} ({harmless(caller.name)}) until that ends; "
            f"`prwlock release {typed(asked.name)}` ends it before"
        )
    return 0


def _is_on_terminal() -> bool:
    try:
        return os.isatty(2) and os.tcgetpgrp(2) == os.getpgrp()
    except OSError:
        return False


# The forked process


def _run_holder(asked: Asked, wanted: Wanted, client: Watch, front: socket.socket) -> NoReturn:
    status = 0
    try:
        # An interrupt ends this process by the signal.
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        _ask_and_hold(asked, wanted, client, front)
    except Complaint as error:
        if str(error):
            complain(str(error))
        status = error.status
    except (OSError, ValueError) as error:
        from ._exit_status import exit_status

        complain(str(error))
        status = exit_status(error)
    finally:
        if status:
            _send_answer(front, status)
        os._exit(0)


def _send_answer(front: socket.socket, status: int, token: int = 0) -> bool:
    """Returns False if the foreground process no longer waits for the answer."""
    try:
        return front.send(_ANSWER.pack(status, token), socket.MSG_NOSIGNAL) > 0
    except OSError:
        return False


def _ask_and_hold(asked: Asked, wanted: Wanted, client: Watch, front: socket.socket) -> None:
    attempt = Attempt(asked, wanted)
    holder = attempt.earlier_holder()
    attempt.refuse_circles(is_held=holder is not None)
    if holder is not None:
        attempt.turn_to(holder)
    try:
        token = attempt.decide([front.fileno(), *client.descriptors])
    except AcquireTimeout as error:
        line = conflict(asked.name, error, attempt.elapsed) if asked.is_verbose else ""
        raise Complaint(line, asked.conflict) from None
    if token is None:
        return
    if asked.is_verbose:
        complain(f"{shown(asked.name)}: granted after {in_words(attempt.elapsed)}")
    if attempt.asks_holder:
        _send_answer(front, 0, token)
        return
    keeper = GrantKeeper(attempt.talk, wanted, token, attempt.until)
    termination = _go_to_background({front.fileno(), *client.descriptors, *keeper.descriptors})
    # After the answer the script continues, and it may run `release` at once.
    if not _send_answer(front, 0, token):
        keeper.release(token)
    elif keeper.hold(client, termination) and asked.signals_loss:
        client.terminate()


def _go_to_background(kept: set[int]) -> int:
    """Detaches this process from the terminal and from all other descriptors.

    Returns a descriptor that is readable after SIGTERM.
    """
    os.setsid()
    os.chdir("/")
    try:
        with open("/proc/self/comm", "wb") as file:
            file.write(_hold_mark.PROCESS_NAME)
    except OSError:
        pass
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    near, far = socket.socketpair()
    far.setblocking(False)
    termination, wake = near.detach(), far.detach()
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for standard in (0, 1, 2):
        if standard not in kept:
            os.dup2(nothing, standard)
    for entry in os.listdir("/proc/self/fd"):
        if int(entry) not in kept | {0, 1, 2, termination, wake}:
            try:
                os.close(int(entry))
            except OSError:  # The descriptor of the listing itself.
                pass
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    return termination


# Releasing


def release(location: Location, name: bytes, process: Optional[int]) -> int:
    """Ends a `hold` of that process, by default of the parent, and waits until the lock is released.

    Raises:
        Complaint: it is not held, or may not be released.
    """
    connected, received = connect(location, None)
    talk = Talk(connected, received, location.path)
    # A shell may replace itself with its last command; this process then has the shell's process id.
    candidates = (os.getpid(), os.getppid()) if process is None else (process,)
    grants = _grants_of(talk, name, candidates)
    if not grants:
        processes = " or ".join(map(str, candidates))
        raise Complaint(
            f"{shown(name)}: process {processes} does not hold it; `prwlock status {typed(name)}` says which does", _NO
        )
    # There are several if calls of `hold` ran at the same time.
    for grant in reversed(grants):
        _end(grant, talk, name, candidates)
    return 0


def _grants_of(talk: Talk, name: bytes, candidates: tuple[int, ...]) -> list[Grant]:
    """Returns the grants for the first candidate that has any, the oldest first."""
    grants = _hold_mark.grants(talk, name, PATIENCE)
    for candidate in candidates:
        own = [grant for grant in grants if grant.owner == _hold_mark.owner_for(candidate)]
        if own:
            return own
    return []


def _end(grant: Grant, talk: Talk, name: bytes, candidates: tuple[int, ...]) -> None:
    holding = _hold_mark.find(_hold_mark.mark_name(name, grant.owner, grant.token, talk), grant.pid)
    if holding is None:
        # After the first query the process may have ended, or have changed the grant.
        grants = _grants_of(talk, name, candidates)
        if any(other.token == grant.token for other in grants):
            raise Complaint(
                f"{shown(name)}: the process that holds it ({grant.pid or '?'}) is another user's, or not one of "
                "`prwlock hold`",
                _NOT_PERMITTED,
            )
        if grants:
            _end(grants[-1], talk, name, candidates)
        return
    try:
        watch = Watch(holding.pid)
        if not holding.is_there:
            return
        watch.terminate()
    except ProcessLookupError:
        return
    except PermissionError:
        raise Complaint(f"{shown(name)}: another user's process {holding.pid} holds it", _NOT_PERMITTED) from None
    if not watch.ends_within(PATIENCE):
        raise Complaint(
            f"{shown(name)}: process {holding.pid} was told to release it and has not; is it stopped?", _TEMPORARY
        )
