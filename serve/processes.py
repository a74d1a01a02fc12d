"""Kernel requests of the processes that answer: nginx, the workers and the admin process."""

import ctypes
import logging
import os
import pwd
import signal
import struct
from typing import Final, NoReturn

from serve.errors import ServeError

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_EX_TEMPFAIL: Final = 75
_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}  # the C library has no wrapper for it yet
_ATTRIBUTES: Final = "=IIQiIQQQ"  # struct sched_attr, its own size first
_TIMESLICE_NANOSECONDS: Final = 100_000  # the shortest that the kernel grants
_LIBC: Final = ctypes.CDLL(None)


def abort_on_corruption(error: Exception) -> NoReturn:
    """End this process as a crash does, after LMDB has found a snapshot broken.

    After one error LMDB's long transaction fails for every later request; the
    supervisor sees the crash and acts.
    """
    log.critical("snapshot is corrupt: %s; this process aborts", error)
    os.abort()


def end_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when its parent ends.

    Args:
        parent: Pid of the parent before the fork: it may have ended since then.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(_EX_TEMPFAIL)


def become_user(user: str) -> None:
    """Give up root's rights for those of an account, if root has started this process.

    Args:
        user: Name of the account; "root" keeps root's rights.

    Raises:
        ServeError: Root has started it without an account, or it does not exist.
    """
    try:
        account = pwd.getpwnam(user) if user else None
    except KeyError:
        raise ServeError("user", f"{user!r} does not exist", "create it, or correct user") from None
    if os.geteuid() != 0:
        if account and account.pw_uid != os.geteuid():
            raise ServeError("user", f"only root can become {user!r}", "start as that user")
        return
    if account is None:
        raise ServeError(
            "user",
            "is not set, and root must not answer requests",
            "start as another user, or set `user` of [serve] to one that owns the store",
        )
    if account.pw_uid != 0:
        os.initgroups(account.pw_name, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        _LIBC.prctl(_PR_SET_DUMPABLE, 1)  # else /proc/self/fd would stay root's


def request_short_timeslice() -> None:
    """Ask the scheduler for short timeslices: other processes wait for this one's answers.

    On one core nginx and a worker alternate at every request. A timeslice of the
    default length, 1.4 ms and more, lets requests pile up at the other one. Programs
    that replace this process, and its children, inherit the request. Kernels before
    6.12 ignore it. Where it is forbidden, or another policy has been chosen for this
    process, nothing changes.

    Source:
        sched_setattr(2); Linux 6.12, "sched/eevdf: Allow sched_setattr() to set slice".
    """
    number = _SCHED_SETATTR.get(os.uname().machine)
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    policy, flags, priority, deadline, period = os.SCHED_OTHER, 0, 0, 0, 0
    fields = (policy, flags, nice, priority, _TIMESLICE_NANOSECONDS, deadline, period)
    attributes = struct.pack(_ATTRIBUTES, struct.calcsize(_ATTRIBUTES), *fields)
    _LIBC.syscall(number, 0, ctypes.c_char_p(attributes), 0)
