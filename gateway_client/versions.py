"""Pure: which protocol is spoken with a gateway, and what is said when it turns out to be another one."""

from __future__ import annotations

from gateway_client.frames import ErrorShape, JsonObject, is_count

PROTOCOL = 4  # the protocol of gateway 2026.9.x (gateway-protocol §9)


def drift(hello: JsonObject, lowest: int, highest: int) -> ErrorShape | None:
    """Returns why a hello-ok cannot be taken: it names a protocol that was not offered. One that names none is taken.

    Args:
        hello: the payload.
        lowest: the lowest protocol that was offered.
        highest: the highest.
    """
    spoken = hello.get("protocol")
    if spoken is None or (is_count(spoken) and lowest <= spoken <= highest):
        return None
    offered = f"{lowest}" if lowest == highest else f"{lowest} to {highest}"
    said = f"{spoken}" if is_count(spoken) else "none that has a number"
    message = f"protocol mismatch: {offered} was offered, the gateway speaks {said}"
    return ErrorShape("PROTOCOL_MISMATCH", message)
