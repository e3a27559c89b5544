"""The policy in force, and the file it is read from: `policy.toml` in the bridge's home."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from acl.model import Policy
from acl.permissions import PROFILES, Permission, Permissions
from bridge.config_file import CONFIG_NAME
from bridge.policy_document import parse_policy
from bridge.strict_toml import ConfigError, ConfigProblem, nearest
from bridge.toml_file import MAX_BYTES, decoded, read_text
from certs.private_files import PrivateFileError, read_own

POLICY_NAME = "policy.toml"


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """A policy, and where it comes from.

    Attributes:
        policy: what the engine decides by.
        default: the permissions that a prompt proposes: those of `pairing.default_profile` under this policy.
        file: the file it was read from; None: there was none, so it is the built-in one.
        loaded_at: when.
        digest: SHA-256 of the file, hex; empty without one.
    """

    policy: Policy
    default: Permissions
    file: Path | None
    loaded_at: datetime
    digest: str = ""


def load_policy(home: Path, default_profile: str, loaded_at: datetime) -> PolicyInForce:
    """Reads the policy of a home; the built-in one when there is no file.

    Args:
        home: the bridge's folder.
        default_profile: `pairing.default_profile` of the configuration.
        loaded_at: the present moment.

    Raises:
        ConfigError: the file is wrong, others could have written it, or the default profile is none of the policy's.
    """
    path = home / POLICY_NAME
    try:
        text = decoded(path, read_own(path, MAX_BYTES))
    except FileNotFoundError:
        return PolicyInForce(Policy(), _default(home, Policy(), default_profile), None, loaded_at)
    except PrivateFileError as exc:
        raise ConfigError(str(exc.path), [ConfigProblem("", exc.why, exc.mend)]) from exc
    policy = parse_policy(text, file=str(path))
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return PolicyInForce(policy, _default(home, policy, default_profile), path, loaded_at, digest)


def check_policy(path: Path) -> Policy:
    """Reads a policy from any file, as `acl check` does: whoever could have written it.

    Raises:
        ConfigError: there is no such file, or it is wrong.
    """
    text = read_text(path)
    if text is None:
        raise ConfigError(str(path), [ConfigProblem("", "there is no such file", "Name the file to check.")])
    return parse_policy(text, file=str(path))


def profiles_of(policy: Policy) -> dict[str, Permissions]:
    """Returns every profile under a policy: the built-in ones, then the owner's."""
    return {**PROFILES, **policy.profiles}


def _default(home: Path, policy: Policy, name: str) -> Permissions:
    known = profiles_of(policy)
    if name not in known:
        why, mend = f"{name!r} is no profile", nearest(name, known)
    elif Permission.SYSTEM in known[name]:
        why, mend = f"the profile {name!r} grants `system`, which nothing grants by default", "Name another profile."
    else:
        return known[name]
    raise ConfigError(str(home / CONFIG_NAME), [ConfigProblem("pairing.default_profile", why, mend)])
