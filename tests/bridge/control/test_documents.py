"""The documents are the JSON that the contract lays down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import pytest
from pydantic import ValidationError

from bridge.control.document import Document
from bridge.control.documents import (
    Approval,
    ConsoleReport,
    Denial,
    DiscoveryReport,
    Explanation,
    GatewayStatus,
    NativeInvitation,
    NodeCertificateRow,
    Revocation,
    SetupCode,
    TokenRow,
    Window,
)
from bridge.discovery import DiscoveryState
from tests.doubles.operations import FakeOperations

MOMENT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


async def test_status_has_exactly_the_keys_of_the_contract() -> None:
    document = (await FakeOperations().status()).to_json()
    assert set(document) == {
        "version", "pid", "startedAt", "listeners", "gateway", "nodes", "pending", "pin", "spki", "discovery",
        "console", "limits", "limitsInUse", "load",
    }  # fmt: skip
    assert document["startedAt"] == "2026-11-21T08:00:00Z"
    assert document["listeners"] == [
        {"name": "nodes", "addresses": ["192.168.1.20", "127.0.0.1"], "port": 18790},
        {"name": "apps", "addresses": ["192.168.1.20", "127.0.0.1"], "port": 18794},
    ]
    assert document["gateway"] == {"url": "ws://127.0.0.1:18789", "state": "connected", "version": "2026.9.6"}
    assert document["nodes"] == {"paired": 0, "connected": 0}


def test_a_pending_request_has_exactly_the_keys_of_the_contract() -> None:
    assert set(FakeOperations().phone_asks().to_json()) == {
        "id", "kind", "displayName", "platform", "deviceFamily", "address", "permissions", "commands",
        "keyFingerprint", "pin", "createdAt", "expiresAt", "previouslyRevoked", "reason",
        "adds", "notGranted",
    }  # fmt: skip


def test_a_node_has_the_keys_of_the_contract_and_the_optional_ones_only_when_known() -> None:
    operations = FakeOperations()
    keys = {
        "nodeId", "displayName", "platform", "security", "permissions", "state", "connectedAt", "gatewayNodeId",
        "withheld", "wants", "declaredCommands", "effectiveCommands", "tokens", "notGranted", "limits", "refused",
    }  # fmt: skip
    assert set(operations.phone_is_paired().to_json()) == keys
    away = operations.phone_is_paired(connected_at=None, last_seen_at=MOMENT, allow_line="openclaw ...")
    assert set(away.to_json()) == (keys - {"connectedAt"}) | {"lastSeenAt", "allowLine"}


@pytest.mark.parametrize(
    "document, expected",
    [
        (Denial(id="r1"), {"id": "r1"}),
        (Revocation(node_id="n1", revoked_at=MOMENT), {"nodeId": "n1", "revokedAt": "2026-11-21T08:00:00Z"}),
        (Explanation(decision="allow", rule="r", reason="why"), {"decision": "allow", "rule": "r", "reason": "why"}),
        (ConsoleReport(), {}),
        (DiscoveryReport(state="conflict", detail="d"), {"state": "conflict", "detail": "d"}),
        (
            Approval(node_id="n", display_name="A", permissions=["voice"], security="mtls", withheld=[]),
            {"nodeId": "n", "displayName": "A", "permissions": ["voice"], "security": "mtls", "withheld": []}
            | {"notGranted": {}},
        ),
        (
            NativeInvitation(id="c", link="L", url="u", permissions=[], expires_at=MOMENT, pin="p", spki="s"),
            {"id": "c", "link": "L", "url": "u", "permissions": [], "pin": "p", "spki": "s"}
            | {"expiresAt": "2026-11-21T08:00:00Z"},
        ),
        (Window(open_until=MOMENT), {"openUntil": "2026-11-21T08:00:00Z"}),
        (
            TokenRow(id="c", kind="native", state="unused", permissions=[], created_at=MOMENT, expires_at=MOMENT),
            {"id": "c", "kind": "native", "state": "unused", "permissions": []}
            | {"createdAt": "2026-11-21T08:00:00Z", "expiresAt": "2026-11-21T08:00:00Z"},
        ),
        (
            NodeCertificateRow(node_id="n", display_name="A", knows_next=False),
            {"nodeId": "n", "displayName": "A", "knowsNext": False},
        ),
        (
            SetupCode(id="c", setup_code="X", link="oc-pair://X", url="u", permissions=[], expires_at=MOMENT, pin="p"),
            {"id": "c", "setupCode": "X", "link": "oc-pair://X", "url": "u", "permissions": [], "pin": "p"}
            | {"expiresAt": "2026-11-21T08:00:00Z"},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_other_documents_are_those_of_the_contract(document: Document, expected: dict[str, object]) -> None:
    assert document.to_json() == expected


def test_certificates_have_exactly_the_keys_of_the_contract() -> None:
    certs = FakeOperations().certs
    keys = {
        "pin", "spki", "host", "notBefore", "notAfter", "authority", "passphrasePlace", "nodes", "apps",
    }  # fmt: skip
    assert set(certs.report.to_json()) == keys
    certs.next_is_prepared()
    assert set(certs.report.to_json()) == keys | {"nextSpki"}


async def test_a_document_can_be_read_back_from_its_json() -> None:
    status = await FakeOperations().status()
    assert type(status).model_validate(status.to_json()) == status


def test_times_are_told_in_utc_and_never_without_a_zone() -> None:
    berlin = timezone(timedelta(hours=1))
    revocation = Revocation(node_id="n", revoked_at=datetime(2026, 11, 21, 9, 0, tzinfo=berlin))
    assert revocation.to_json()["revokedAt"] == "2026-11-21T08:00:00Z"
    with pytest.raises(ValidationError, match="timezone"):
        Revocation(node_id="n", revoked_at=datetime(2026, 11, 21, 9, 0))


def test_a_newer_daemon_may_add_keys() -> None:
    assert Denial.model_validate({"id": "r1", "later": True}) == Denial(id="r1")


def test_a_state_that_is_not_in_the_contract_is_refused() -> None:
    with pytest.raises(ValidationError, match="state"):
        GatewayStatus.model_validate({"url": "ws://127.0.0.1:1", "state": "perhaps"})


def test_every_state_of_discovery_can_be_told() -> None:
    assert set(get_args(DiscoveryReport.model_fields["state"].annotation)) == {each.value for each in DiscoveryState}


def test_an_invitation_does_not_print_its_secret() -> None:
    link = NativeInvitation(
        id="c", link="clawdis-bridge://pair#S3CRET", url="u", permissions=[], expires_at=MOMENT, pin="p", spki="s"
    )
    assert "S3CRET" not in repr(link) + str(link)


def test_a_setup_code_does_not_print_its_secret() -> None:
    code = SetupCode(
        id="c",
        setup_code="S3CRET",
        link="oc-pair://S3CRET",
        url="wss://h:1",
        permissions=[],
        expires_at=MOMENT,
        pin="p",
    )
    assert "S3CRET" not in repr(code)
    assert "S3CRET" not in str(code)
