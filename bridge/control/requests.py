"""Pure: the bodies that local control accepts. Strict: an unknown key, a wrong type or a missing choice is refused."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from acl.navigation import MAX_URL_CHARS
from acl.permissions import read_permissions
from bridge.errors import UnknownId

ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
"""The shape of every id, whole or shortened (design §6)."""

SEE_IDS = "See what there is: clawdis-bridge pending, clawdis-bridge nodes, clawdis-bridge tokens"
"""The step that mends an unknown id."""

MIN_TTL_S = 30  # shorter than it takes to point a camera
MAX_TTL_S = 3600  # a valid code is an approval without a prompt: it must not lie about for days
DEFAULT_TTL_S = 300
MAX_NAME_CHARS = 64  # what a name keeps after it was cleaned (bridge.pairing.records)
_MAX_SESSION_CHARS = 512  # of a session's key, as at the gateway
_MAX_TEXT_CHARS = 1_024  # of words to be judged: only their beginning counts
_MAX_LIST = 256  # entries of a list: 20 times the permissions, 4 times the nodes of a large household


def _known_permissions(words: list[str]) -> list[str]:
    read_permissions(words)
    return list(dict.fromkeys(words))


def _ip_address(text: str) -> str:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise ValueError("an address with a zone (%...) means nothing on another device")
    return str(address)


Identifier = Annotated[str, StringConstraints(pattern=f"^{ID_PATTERN}$")]
PermissionList = Annotated[list[str], Field(max_length=_MAX_LIST), AfterValidator(_known_permissions)]
DisplayName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME_CHARS)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Address = Annotated[str, AfterValidator(_ip_address)]


class Body(BaseModel):
    """Base of the request bodies."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class NoBody(Body):
    """`{}`: the path says it all."""


class ApproveBody(Body):
    """How to approve a pairing request."""

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")] | None = Field(default=None, repr=False)
    """The six digits that a native node shows; None for a device that shows none."""

    permissions: PermissionList | None = None
    """None: those that the request shows."""
    name: DisplayName | None = None
    """None: the name that the device gave."""


class ChangeNodeBody(Body):
    """What to change of a node: at least one thing."""

    name: DisplayName | None = None
    permissions: PermissionList | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.name is None and self.permissions is None:
            raise ValueError("name or permissions must be given")
        return self


class RevokeBody(Body):
    """Which nodes to revoke: exactly one of the three ways to say it."""

    ids: Annotated[list[Identifier], Field(min_length=1, max_length=_MAX_LIST)] | None = None
    """These."""
    all: Literal[True] | None = None
    """Every node."""
    others: Identifier | None = None
    """Every node but this one."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if [self.ids, self.all, self.others].count(None) != 2:
            raise ValueError("exactly one of ids, all and others must be given")
        return self


class PairBody(Body):
    """What a setup code is good for."""

    permissions: PermissionList | None = None
    profile: Word | None = None
    """A profile of the policy; with neither, the default of a setup code."""
    ttl_s: Annotated[int, Field(ge=MIN_TTL_S, le=MAX_TTL_S)] = DEFAULT_TTL_S
    """Seconds for which it is valid."""
    address: Address | None = None
    """IP address to put into the code; None: the bridge's name on the LAN."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.permissions is not None and self.profile is not None:
            raise ValueError("permissions and profile exclude each other")
        return self


class RotateBody(Body):
    """Which half of a change of keys."""

    commit: bool = False
    """False: make the next key and tell native nodes of it; True: put it into force."""


class ExplainBody(Body):
    """The call to explain."""

    node: Identifier
    method: Word
    command: Word | None = None
    """Of `node.invoke`: the command."""
    target: Identifier | None = None
    """Of `node.invoke`: the node that this one would invoke it on; None: the agent invokes it on this one."""
    session: Annotated[str, Field(max_length=_MAX_SESSION_CHARS)] | None = None
    """The session that the call is about."""
    text: Annotated[str, Field(max_length=_MAX_TEXT_CHARS)] | None = Field(default=None, repr=False)
    """Of what a node says to the agent: the words."""
    url: Annotated[str, Field(max_length=MAX_URL_CHARS)] | None = Field(default=None, repr=False)
    """Of `screen.navigate` and its like: where the screen would be sent."""


def require_id(text: str) -> str:
    """Returns `text` if it has the shape of an id.

    Raises:
        UnknownId: it has not, so nothing can have this id.
    """
    if re.fullmatch(ID_PATTERN, text) is None:
        raise UnknownId("No id looks like that.", SEE_IDS)
    return text


def first_problem(error: ValidationError) -> str:
    """What is wrong with a body, without repeating its values."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    why = first["msg"].removeprefix("Value error, ")
    return f"{where}: {why}" if where else why
