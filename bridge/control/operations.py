"""Pure: what the daemon offers to a person at this machine, and how shortened ids are understood."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from bridge.control.documents import (
    Approval,
    Certificates,
    Denial,
    Explanation,
    NativeInvitation,
    NodeDetail,
    NodeRow,
    PendingRequest,
    Revocation,
    SetupCode,
    Status,
    TokenRow,
    Window,
)
from bridge.control.policy_documents import PolicyReload, PolicyReport
from bridge.control.requests import SEE_IDS, ExplainBody, RevokeBody
from bridge.errors import AlreadyDecided, AmbiguousId, UnknownId

MIN_PREFIX = 4  # characters: 16 bits of a hexadecimal id, so that one typing slip rarely names another node
_SHOWN = 12  # characters of an id in a message


class CodeOperations(Protocol):
    """Invitations: the window, and one-time codes."""

    async def open_window(self) -> Window:
        """A person invites devices: those that were turned down may ask again, and native enrolment opens."""

    async def mint_setup_code(
        self, permissions: list[str] | None, profile: str | None, ttl_s: int, address: str | None
    ) -> SetupCode:
        """Makes a one-time code.

        Args:
            permissions: what it grants; None: what `profile` names.
            profile: a profile of the policy; None with None: the default of a setup code.
            ttl_s: seconds for which it is valid.
            address: IP address to put into the code; None: the bridge's name on the LAN.

        Raises:
            UsageError: there is no such profile.
            NotAllowed: the app port is closed, or the address is not listened on.
        """

    async def mint_native_link(
        self, permissions: list[str] | None, profile: str | None, ttl_s: int, address: str | None
    ) -> NativeInvitation:
        """Makes a one-time link for a native node; as `mint_setup_code`."""

    async def tokens(self) -> list[TokenRow]:
        """The one-time codes that are remembered, newest first."""

    async def revoke_token(self, id: str) -> TokenRow:
        """Takes a code back; raises `UnknownId` or `AmbiguousId`."""


class CertificateOperations(Protocol):
    """The bridge's own certificates."""

    async def show(self) -> Certificates:
        """What is in force, and what native nodes hold."""

    async def renew(self) -> Certificates:
        """Makes a new certificate for the same key; OpenClaw clients that pinned the old one are locked out."""

    async def rotate(self, commit: bool) -> Certificates:
        """Prepares the next key, or puts the prepared one into force; raises `RefusedError` when none is prepared."""

    async def reload(self) -> Certificates:
        """Reads the files again; raises `RefusedError` when what is there cannot be used."""


class PolicyOperations(Protocol):
    """The access policy."""

    async def show(self) -> PolicyReport:
        """The whole of the policy in force."""

    async def reload(self) -> PolicyReload:
        """Reads `policy.toml` again; raises `RefusedError` when it cannot be used, and the former one stays."""


class Operations(Protocol):
    """What the control API calls. Ids may be shortened; every method raises `BridgeError`s only.

    A method that was cancelled may have taken effect: a caller that needs to know asks again.
    """

    @property
    def codes(self) -> CodeOperations:
        """Invitations."""

    @property
    def certs(self) -> CertificateOperations:
        """The bridge's own certificates."""

    @property
    def policy(self) -> PolicyOperations:
        """The access policy."""

    async def status(self) -> Status:
        """The state of the daemon."""

    async def metrics(self) -> str:
        """What is counted and measured, in the text format of Prometheus."""

    async def pending(self) -> list[PendingRequest]:
        """The pairing requests that wait for a decision, oldest first."""

    async def request(self, id: str) -> PendingRequest:
        """One pairing request that waits; raises `UnknownId`, `AmbiguousId` or `AlreadyDecided`."""

    async def approve(
        self, id: str, permissions: list[str] | None, name: str | None, code: str | None = None
    ) -> Approval:
        """Pairs the device of a request.

        Args:
            id: the request.
            permissions: what to grant; None: what the request shows.
            name: what to call the node; None: the name the device gave.
            code: the six digits that a native node shows.

        Raises:
            UsageError: a code is needed and missing, or there is none to compare with.
            WrongCode: it is not the code that the device shows.
            UnknownId: no such request.
            AmbiguousId: several.
            AlreadyDecided: it was approved, denied or has expired.
        """

    async def deny(self, id: str) -> Denial:
        """Refuses a request; raises as `approve` does."""

    async def nodes(self) -> list[NodeRow]:
        """All paired nodes, and the revoked ones of which a tombstone is kept."""

    async def node(self, id: str) -> NodeDetail:
        """Everything about one node; raises `UnknownId` or `AmbiguousId`."""

    async def rename(self, id: str, name: str) -> NodeRow:
        """Gives a node another display name; raises `UnknownId` or `AmbiguousId`."""

    async def set_permissions(self, id: str, permissions: list[str]) -> NodeRow:
        """Replaces what a node may do; an empty list takes everything. Raises `UnknownId` or `AmbiguousId`."""

    async def revoke(self, which: RevokeBody) -> list[Revocation]:
        """Ends the pairing of some nodes; see `select_nodes`. All or none: an unknown id revokes nothing.

        Raises:
            UnknownId: an id fits no node.
            AmbiguousId: an id fits several.
            AlreadyDecided: a node that was named is revoked already.
        """

    async def explain(self, asked: ExplainBody) -> Explanation:
        """What the access policy decides about a call of a node, and which rule; raises as `node` does."""


def resolve_prefix(prefix: str, ids: Iterable[str]) -> str:
    """The one id that `prefix` means.

    An exact match wins, however short and whatever else begins with it. Otherwise at least `MIN_PREFIX` characters
    are needed, and exactly one id must begin with them, in the same case. Positions in a list are never ids.

    Raises:
        UnknownId: none fits, or the prefix is too short to be trusted.
        AmbiguousId: several fit.
    """
    known = set(ids)
    if prefix in known:
        return prefix
    if len(prefix) < MIN_PREFIX:
        raise UnknownId(
            f"'{prefix}' is not a whole id, and too short for the beginning of one.",
            f"Give at least {MIN_PREFIX} characters of the id.",
        )
    fitting = sorted(each for each in known if each.startswith(prefix))
    if not fitting:
        raise UnknownId(f"Nothing has the id '{prefix}'.", SEE_IDS)
    if len(fitting) > 1:
        raise AmbiguousId(
            f"'{prefix}' fits {len(fitting)} ids: {_listed(fitting, prefix)}.", "Give more characters of the id."
        )
    return fitting[0]


def select_nodes(which: RevokeBody, node_ids: Iterable[str]) -> list[str]:
    """The whole ids of the nodes that a revocation means, each once, in the order of `node_ids`.

    Args:
        which: the request.
        node_ids: the nodes that are paired.

    Raises:
        UnknownId: an id fits no node; also the one to keep, so that a slip does not revoke everything.
        AmbiguousId: an id fits several nodes.
    """
    known = list(dict.fromkeys(node_ids))
    if which.ids is not None:
        chosen = {resolve_prefix(each, known) for each in which.ids}
        return [each for each in known if each in chosen]
    if which.others is not None:
        kept = resolve_prefix(which.others, known)
        return [each for each in known if each != kept]
    return known


def require_paired(ids: Iterable[str], paired: Mapping[str, bool]) -> None:
    """Refuses ids of nodes that are revoked already, in words that tell them from ids that nobody has.

    Args:
        ids: as they were given.
        paired: every known node, and whether it is paired.

    Raises:
        AlreadyDecided: one of them is revoked already.
    """
    in_force = [each for each, is_paired in paired.items() if is_paired]
    for id in ids:
        if not any(each.startswith(id) for each in in_force) and (whole := resolve_prefix(id, paired)):
            raise AlreadyDecided(f"The node {whole[:_SHOWN]} is revoked already.", "See: clawdis-bridge nodes")


def _listed(ids: list[str], prefix: str) -> str:
    """The first few ids, each just long enough to be told from `prefix`."""
    length = max(_SHOWN, len(prefix) + MIN_PREFIX)
    shown = [each[:length] for each in ids[:3]]
    return ", ".join(shown) + (", ..." if len(ids) > len(shown) else "")
