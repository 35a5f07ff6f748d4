"""As whom PostgreSQL runs: it refuses to run as root."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from core.errors import StartupError

# In a user namespace of its own root looks like an ordinary user, and files stay root's.
_UNSHARE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
# For setpriv(1): keep CAP_DAC_OVERRIDE across the change of user (capabilities(7), "ambient").
_RIGHT_TO_PASS = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
_PROBE_SECONDS = 10


class Account(Struct, frozen=True):
    """How to become somebody: a command to put in front, and who then owns the files, None for us."""

    prefix: tuple[str, ...] = ()
    owner: int | None = None


def choose_account(data: Path, program: Path) -> Account:
    """As whom `program` can serve the folder `data`, which is made if need be and given to them.

    An ordinary user runs it as themselves. Root runs it in a user namespace or, where the system
    forbids that (a container, say), as nobody; data that already belongs to an ordinary user stays
    with them. Where that account cannot reach the folder or the program, because they lie in
    root's home, it is lent root's right to pass.

    Raises:
        StartupError: saying what to do, if nobody can reach the program or the folder.
    """
    data.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() != 0:
        return Account()
    owner = data.stat()
    if owner.st_uid:
        return _reach(data, program, owner.st_uid, owner.st_gid)
    if runs((*_UNSHARE, str(program), "--version")):
        return Account(prefix=_UNSHARE)
    nobody = pwd.getpwnam("nobody")
    for place, folders, files in os.walk(data):
        for name in (".", *folders, *files):
            os.chown(Path(place, name), nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    return _reach(data, program, nobody.pw_uid, nobody.pw_gid)


def _reach(data: Path, program: Path, user: int, group: int) -> Account:
    # Only our own two folders are opened, for passing through; never those of others above them.
    for folder in (data.parent, data.parent.parent):
        folder.chmod(folder.stat().st_mode | 0o001)
    for lent in ((), _RIGHT_TO_PASS):
        become = ("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", *lent, "--")
        account = Account(prefix=become, owner=user)
        if runs((str(program), "--version"), account) and runs(
            ("/bin/sh", "-c", 'cd "$0" && test -w .', str(data)), account
        ):
            return account
    raise StartupError(
        f"PostgreSQL does not run as root, and user {_name(user)} cannot reach {program} or {data}: "
        "run as an ordinary user, or set `data` to a folder below /var/lib"
    )


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def runs(command: Sequence[str], account: Account | None = None) -> bool:
    """Whether `command` can be run as `account` and succeeds."""
    account = account or Account()
    try:
        result = subprocess.run(  # noqa: S603  # our own programs only
            (*account.prefix, *command),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0
