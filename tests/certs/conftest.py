"""What is asynchronous here runs on both loops, and one identity serves the tests that only need some identity."""

from __future__ import annotations

from asyncio import AbstractEventLoop, SelectorEventLoop
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import uvloop

from certs.client_files import write_client_file
from certs.issue import build_bridge_certificate
from certs.pins import certificate_pin
from certs.store import BridgeIdentity, KeyFolder


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Run what is asynchronous here on both loops: uvloop has a TLS of its own."""
    return {"asyncio": SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def bridge_identity(tmp_path_factory: pytest.TempPathFactory) -> BridgeIdentity:
    folder = tmp_path_factory.mktemp("bridge") / "keys"
    return KeyFolder(folder).load_or_create("clawdis-bridge-0a1b2c3d.local", now=datetime.now(UTC))


@pytest.fixture(scope="session")
def other_identity(tmp_path_factory: pytest.TempPathFactory) -> BridgeIdentity:
    """Another bridge."""
    folder = tmp_path_factory.mktemp("other") / "keys"
    return KeyFolder(folder).load_or_create("clawdis-bridge-ffffffff.local", now=datetime.now(UTC))


@pytest.fixture(scope="session")
def renewed_identity(bridge_identity: BridgeIdentity) -> BridgeIdentity:
    """The same key with a new certificate."""
    certificate = build_bridge_certificate(bridge_identity.key, "clawdis-bridge-0a1b2c3d.local", now=datetime.now(UTC))
    file = bridge_identity.file.with_name("renewed.pem")
    write_client_file(file, bridge_identity.key, certificate, bridge_identity.passphrase)
    return replace(bridge_identity, certificate=certificate, pin=certificate_pin(certificate), file=file)
