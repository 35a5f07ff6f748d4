"""A child that ends with its parent, however the parent ends."""

import ctypes
import os
import signal

from core.errors import StartupError

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent, the process `parent`, is gone.

    Linux; see prctl(2). It is SIGKILL, because an orphan that drained for seconds would hold the
    ports that the next start needs.

    Raises:
        StartupError: the kernel refuses, or the parent is gone already.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise StartupError(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        raise StartupError("the supervisor is gone")
