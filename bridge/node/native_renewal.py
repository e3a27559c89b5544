"""What a paired node asks of its bridge by HTTP: a new certificate, and the bridge's keys (design §6)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from bridge.node.native_identity import NodeIdentity
from bridge.node.pairing_answers import (
    BridgeKeys,
    Challenge,
    Renewed,
    next_of,
    own_id,
    read_answer,
    read_certificate,
    read_nonce,
)
from bridge.node.pairing_errors import BridgeMismatch, BridgeUnreachable
from bridge.node.pairing_http import REQUEST_S, PairingHttp
from bridge.pairing.transcript import renewal_digest
from certs.context import node_client_context
from certs.csr import build_csr
from certs.keys import sign
from certs.pins import same_pin
from certs.spki_pin import SpkiMismatch, SpkiPin
from gateway_client.frames import JsonObject
from gateway_client.identity import encode_base64url


def moved(identity: NodeIdentity, seen: str | None) -> NodeIdentity | None:
    """Returns the identity with its pin on the bridge's next key, if that is the key that was seen; else None.

    The announcement came over a connection that the old key had authenticated.
    """
    if seen is None or identity.next_spki is None or not same_pin(seen, identity.next_spki):
        return None
    return replace(identity, spki=identity.next_spki, next_spki=None)


async def prove(identity: NodeIdentity) -> None:
    """Returns only if the bridge holds the key of the pin: it shakes hands, and sends nothing more.

    Raises:
        BridgeMismatch: it holds another.
        BridgeUnreachable: nothing answers.
    """
    where = f"{identity.host}:{identity.port}"
    context = node_client_context(SpkiPin(identity.spki))
    try:
        async with asyncio.timeout(REQUEST_S):
            _, writer = await asyncio.open_connection(identity.host, identity.port, ssl=context)
        writer.transport.abort()
    except SpkiMismatch as exc:
        raise BridgeMismatch(exc.expected, exc.seen) from exc
    except (OSError, TimeoutError) as exc:
        raise BridgeUnreachable(where, str(exc) or "no answer in time") from exc


async def renewed(identity: NodeIdentity, now: datetime) -> NodeIdentity:
    """Returns the identity with a new certificate for the same key.

    A certificate that still holds is shown in TLS. One that has expired is not, because TLS would refuse it: a
    signature over the bridge's challenge and key proves the node instead. The bridge's clock decides, so the second way
    is also tried when the first ends without an answer.

    Args:
        identity: the node's.
        now: aware UTC time.

    Raises:
        EnrolmentError: no new certificate; the old one stays what it was.
    """
    if not identity.expired(now):
        try:
            return await _renewed_by_certificate(identity, now)
        except BridgeUnreachable:
            pass
    return await _renewed_by_proof(identity, now)


async def bridge_keys(identity: NodeIdentity) -> NodeIdentity:
    """Returns the identity with what the bridge says about its next key, and tells the bridge which one it holds.

    What it learns here the bridge can only know when it is asked again, with the identity that was kept.

    Raises:
        EnrolmentError: no answer, or one that names another key than TLS showed.
    """
    pin = SpkiPin(identity.spki)
    context = await asyncio.to_thread(identity.client_context, pin)
    async with PairingHttp(identity.host, identity.port, context) as bridge:
        knows = {"knows": identity.next_spki} if identity.next_spki is not None else None
        keys = read_answer(BridgeKeys, await bridge.ask("GET", "identity", query=knows))
    if not same_pin(keys.spki, identity.spki):
        raise BridgeMismatch(identity.spki, keys.spki, "names in its answer")
    return replace(identity, next_spki=next_of(keys.next_spki, identity.spki))


async def _renewed_by_certificate(identity: NodeIdentity, now: datetime) -> NodeIdentity:
    pin = SpkiPin(identity.spki)
    context = await asyncio.to_thread(identity.client_context, pin)
    body = _request(identity, build_csr(identity.private_key))
    async with PairingHttp(identity.host, identity.port, context) as bridge:
        answer = read_answer(Renewed, await bridge.ask("POST", "renew", body))
    return _with_certificate(identity, answer, now)


async def _renewed_by_proof(identity: NodeIdentity, now: datetime) -> NodeIdentity:
    pin = SpkiPin(identity.spki)
    csr = build_csr(identity.private_key)
    async with PairingHttp(identity.host, identity.port, node_client_context(pin)) as bridge:
        asked = await bridge.ask("POST", "renew/challenge", {"nodeId": identity.node_id})
        nonce = read_nonce(read_answer(Challenge, asked).nonce)
        spki_bridge = pin.seen_der or b""  # seen, since an answer came
        proof = sign(identity.private_key, renewal_digest(nonce, spki_bridge, csr))
        body: JsonObject = {
            **_request(identity, csr),
            "nodeId": identity.node_id,
            "nonce": encode_base64url(nonce),
            "proof": encode_base64url(proof),
        }
        answer = read_answer(Renewed, await bridge.ask("POST", "renew", body))
    return _with_certificate(identity, answer, now)


def _request(identity: NodeIdentity, csr: bytes) -> JsonObject:
    """What every renewal says; the next key only if there is one."""
    body: JsonObject = {"csr": encode_base64url(csr)}
    return body if identity.next_spki is None else {**body, "knowsNext": identity.next_spki}


def _with_certificate(identity: NodeIdentity, answer: Renewed, now: datetime) -> NodeIdentity:
    own_id(answer.node_id, identity.node_id)
    certificate = read_certificate(answer.certificate, identity.private_key.public_key(), now)
    return replace(identity, certificate=certificate, next_spki=next_of(answer.next_spki, identity.spki))
