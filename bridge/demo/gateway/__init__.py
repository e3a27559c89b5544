"""A small gateway inside this process, for the demo and for fast tests; never part of the daemon.

It speaks what the bridge uses of the Gateway protocol and is held to the real gateway by `tests/conformance`: it may
know fewer methods, but it never accepts what the real one refuses. `server` is the shell; the rest decides and keeps
state: `schema` and `shapes` the forms of parameters, `connect` the handshake, `devices` and `surfaces` the two
approvals, `policy` the commands of a platform, `nodes`, `invokes` and `node_events` the node side, `sessions` the
conversation, `methods` who may call what, `hello` what a client is told first.
"""

from bridge.demo.gateway.core import Invoke, Turn
from bridge.demo.gateway.model import GatewaySetup
from bridge.demo.gateway.server import EmbeddedGateway

__all__ = ["EmbeddedGateway", "GatewaySetup", "Invoke", "Turn"]
