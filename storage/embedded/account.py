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
_PROBE_SECONDS = 10


class Account(Struct, frozen=True):
    """How to become somebody: a command to put in front, or a user and group to switch to."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None


def choose_account(data: Path, program: Path) -> Account:
    """As whom `program` can serve the folder `data`, which is made if need be and given to them.

    An ordinary user runs it as themselves. Root runs it in a user namespace or, where the system
    forbids that, as nobody; data that already belongs to an ordinary user stays with them.

    Raises:
        StartupError: saying what to do, if nobody can reach the program or the folder.
    """
    data.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() != 0:
        return Account()
    owner = data.stat()
    if owner.st_uid:
        return _reach(data, program, Account(user=owner.st_uid, group=owner.st_gid))
    if runs((*_UNSHARE, str(program), "--version")):
        return Account(prefix=_UNSHARE)
    nobody = pwd.getpwnam("nobody")
    account = Account(user=nobody.pw_uid, group=nobody.pw_gid)
    for place, folders, files in os.walk(data):
        for name in (".", *folders, *files):
            os.chown(Path(place, name), nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    return _reach(data, program, account)


def _reach(data: Path, program: Path, account: Account) -> Account:
    # Only our own two folders are opened, for passing through; never those of others above them.
    for folder in (data.parent, data.parent.parent):
        folder.chmod(folder.stat().st_mode | 0o001)
    name = pwd.getpwuid(account.user or 0).pw_name
    problem = f"PostgreSQL does not run as root, and user {name} cannot reach"
    if not runs((str(program), "--version"), account):
        raise StartupError(f"{problem} {program}: run as an ordinary user")
    if not runs(("/bin/sh", "-c", 'cd "$0" && test -w .', str(data)), account):
        raise StartupError(
            f"{problem} {data}: run as an ordinary user, or set `data` to a folder below /var/lib"
        )
    return account


def runs(command: Sequence[str], account: Account | None = None) -> bool:
    """Whether `command` can be run as `account` and succeeds."""
    account = account or Account()
    try:
        result = subprocess.run(  # noqa: S603  # our own programs only
            command,
            cwd="/",
            user=account.user,
            group=account.group,
            extra_groups=None if account.user is None else (),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0
