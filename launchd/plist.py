"""Pure: the launchd agent that runs the daemon in the user's session.

Keys are those of launchd.plist(5). An agent, not a system daemon: the keychain, the dialog on the screen and the
local-network permission all belong to the logged-in user.
"""

import plistlib
import re
from collections.abc import Sequence

THROTTLE_S = 10  # seconds between two starts; launchd's own default, written down because it is relied on
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+")
_UMASK = 0o077  # the log files are the user's alone


def render_agent(
    label: str, program_arguments: Sequence[str], log_folder: str, *, throttle_s: int = THROTTLE_S
) -> bytes:
    """The XML property list of an agent that starts at login and is started again whenever it ends.

    Args:
        label: the reverse-DNS name of the agent, also its file name before `.plist`.
        program_arguments: the command line; the first part an absolute path. It is readable by every process of
            the user, so it must carry no secret.
        log_folder: absolute path of the folder for what the process writes to its standard outputs.
        throttle_s: least number of seconds between two starts.

    Raises:
        ValueError: a label, path, argument or interval that launchd would not take.
    """
    _require_agent(label, program_arguments, log_folder, throttle_s)
    folder = log_folder.rstrip("/")
    agent = {
        "Label": label,
        "ProgramArguments": list(program_arguments),
        "RunAtLoad": True,
        "KeepAlive": True,
        "ThrottleInterval": throttle_s,
        "LimitLoadToSessionType": "Aqua",
        "StandardOutPath": f"{folder}/launchd.out.log",
        "StandardErrorPath": f"{folder}/launchd.err.log",
        "Umask": _UMASK,
    }
    return plistlib.dumps(agent, fmt=plistlib.FMT_XML, sort_keys=True)


def _require_agent(label: str, program_arguments: Sequence[str], log_folder: str, throttle_s: int) -> None:
    """Raise ValueError for what launchd would refuse or misread."""
    if not _LABEL.fullmatch(label):
        raise ValueError(f"{label!r} is no reverse-DNS label")
    if isinstance(program_arguments, str) or not program_arguments:
        raise ValueError("program_arguments must be a non-empty list of strings")
    if not program_arguments[0].startswith("/"):
        raise ValueError("the program must be an absolute path: launchd does not search the user's PATH")
    if not log_folder.startswith("/") or not log_folder.strip("/"):
        raise ValueError("log_folder must be an absolute path below the root")
    if any(not text.isprintable() for text in (*program_arguments, log_folder)):
        raise ValueError("an argument or path contains a control or invisible character")
    if throttle_s < 1:
        raise ValueError("throttle_s must be at least 1 second")
