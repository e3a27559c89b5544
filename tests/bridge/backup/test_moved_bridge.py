"""A bridge that was moved by a backup: phones find the same pin, and get in without a prompt."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bridge.pairing.grant import tombstone
from certs.pins import pin_of_der
from tests.bridge.backup.homes import PHRASE, make_home
from tests.bridge.lan.phones import ANDROID, IPHONE, WALL
from tests.bridge.lan.rooms import Caller
from tests.bridge.lan.wire import peer
from tests.support.bridge_process import BridgeProcess

NO_GATEWAY = "ws://127.0.0.1:9"  # nobody answers at the discard port


async def gets_in(bridge: BridgeProcess) -> str:
    """Connect the iPhone with its token; return the pin that it sees."""
    async with peer(bridge.app_port) as wire:
        certificate = wire.tls.getpeercert(binary_form=True)
        assert certificate is not None
        await Caller(await wire.upgrade(), IPHONE).gets_in()
        return pin_of_der(certificate)


@pytest.mark.slow
async def test_paired_phones_come_to_the_moved_bridge_as_to_the_old_one(tmp_path: Path) -> None:
    phrase, file = tmp_path / "phrase", tmp_path / "mac.backup"
    phrase.touch(mode=0o600)
    phrase.write_text(PHRASE)
    old, new = BridgeProcess(NO_GATEWAY, None), BridgeProcess(NO_GATEWAY, None)
    identity = await asyncio.to_thread(make_home, old.home, IPHONE.record(), tombstone(ANDROID.record(), WALL))
    async with old:
        assert await gets_in(old) == old.pin == identity.pin
        made = await old.cli("backup", str(file), "--passphrase-file", str(phrase), "--json")
        assert made.returncode == 0, made.stderr
        assert json.loads(made.stdout)["nodes"] == {"paired": 1, "revoked": 1}
        before = await old.ask(old.client.nodes)
        refused = await old.cli("restore", str(file), "--replace", "--passphrase-file", str(phrase))
        assert refused.returncode == 1
        assert "A bridge is running" in refused.stderr
    restored = await new.cli("restore", str(file), "--passphrase-file", str(phrase), "--json")
    assert restored.returncode == 0, restored.stderr
    async with new:
        assert await gets_in(new) == new.pin == identity.pin
        after = await new.ask(new.client.nodes)
        assert [(row.node_id, row.permissions, row.state == "revoked") for row in after] == [
            (row.node_id, row.permissions, row.state == "revoked") for row in before
        ]
