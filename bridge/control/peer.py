"""Who is at the other end of a Unix socket, as the kernel tells it."""

from __future__ import annotations

import os
import socket
import struct
import sys

_SOL_LOCAL = 0  # macOS, <sys/un.h>
_LOCAL_PEERCRED = 0x001  # macOS, <sys/un.h>
_XUCRED_VERSION = 0  # macOS, <sys/ucred.h>
_XUCRED = struct.Struct("=IIh2x16I")  # cr_version, cr_uid, cr_ngroups, cr_groups
_UCRED = struct.Struct("=iII")  # Linux, unix(7): pid, uid, gid


def peer_uid(descriptor: int) -> int | None:
    """The user id of the process that connected to a Unix socket.

    Args:
        descriptor: of the accepted socket; it stays open.

    Returns:
        None when the kernel does not tell, or the system has no way to ask: the caller must refuse.
    """
    try:
        with socket.socket(fileno=os.dup(descriptor)) as peer:
            if peer.family != socket.AF_UNIX:
                return None
            if sys.platform == "darwin":
                return xucred_uid(peer.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size))
            return ucred_uid(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    except (OSError, AttributeError):  # AttributeError: a system without SO_PEERCRED
        return None


def ucred_uid(data: bytes) -> int | None:
    """The user id in Linux's `struct ucred`; None when it is not one, or tells of no process."""
    if len(data) != _UCRED.size:
        return None
    pid, uid, _gid = _UCRED.unpack(data)
    return int(uid) if pid > 0 else None


def xucred_uid(data: bytes) -> int | None:
    """The user id in macOS's `struct xucred`; None when it is not one, or of an unknown version."""
    if len(data) != _XUCRED.size:
        return None
    version, uid, *_groups = _XUCRED.unpack(data)
    return int(uid) if version == _XUCRED_VERSION else None
