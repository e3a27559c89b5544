"""H7, and who covers their tracks: what a daemon does is in its audit log, at once where it matters, over crashes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import AsyncExitStack, closing
from typing import Any

import pytest

from bridge.control.requests import RevokeBody
from bridge.errors import BridgeError
from tests.attacks.canaries import said
from tests.attacks.fortress import Fortress
from tests.bridge.audit.logs import Log
from tests.support.bridge_process import BridgeProcess
from tests.support.iphone import IPhone, Refused
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


def log_of(castle: Fortress) -> Log:
    return Log(castle.bridge.home)


def entries(castle: Fortress, event: str) -> list[dict[str, Any]]:
    """The entries of one event; a last line without an end is left out."""
    lines = [json.loads(line) for line in log_of(castle).lines() if line.endswith(b"\n")]
    return [line for line in lines if line["event"] == event]


def sql(castle: Fortress, statement: str) -> None:
    with closing(sqlite3.connect(castle.bridge.home / "bridge.sqlite3", timeout=10)) as database, database:
        database.execute(statement)


async def verdict(castle: Fortress) -> dict[str, Any]:
    printed = await castle.bridge.ask(lambda: said(castle.bridge.home, "audit", "verify", "--json"))
    document: dict[str, Any] = json.loads(printed)
    return document


async def waiting(castle: Fortress, name: str) -> tuple[IPhone, str, asyncio.Task[object]]:
    """A phone whose request waits for a person."""
    phone = IPhone(castle.bridge.url, castle.bridge.pin, name=name)

    async def ask() -> object:
        try:
            async with phone.socket("node"):
                return None
        except (Refused, ConnectionError) as exc:
            return exc

    asking = asyncio.get_running_loop().create_task(ask())
    (request,) = await castle.bridge.pending()
    return phone, request.id, asking


async def test_each_kind_of_event_leaves_its_trace(castle: Fortress) -> None:
    """Red when the tap is not put into the log, or a name leaves the table."""
    await castle.invoked()
    reader, writer = await asyncio.open_connection("127.0.0.1", castle.app_port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n" + b"\0" * 64)
    await reader.read()
    writer.close()
    async with castle.node(castle.canary) as node:
        await node.connect()
        for method in ("config.get", "config.get", "config.get", "exec.run", "exec.run", "sessions.delete"):
            await node.request(method, {})
    phone, request, asking = await waiting(castle, "Unwanted")
    await castle.bridge.ask(lambda: castle.bridge.client.deny(request))
    assert entries(castle, "pairing-denied")[-1]["node"] == phone.node_id, "on disk before the answer"
    await asking
    kinds = {"listener", "key", "token", "pairing", "approval", "connect", "invoke", "config", "tls", "deny"}

    def seen() -> bool:
        return kinds <= {json.loads(line)["kind"] for line in log_of(castle).lines() if line.endswith(b"\n")}

    await eventually(seen, timeout_s=5, what="every kind")
    assert entries(castle, "connect-refused")[-1]["node"] == phone.node_id, "who was refused, once its key is proven"
    (invoke,) = entries(castle, "invoke")[:1]
    assert (invoke["node"], invoke["command"], invoke["ok"]) == (castle.canary.node_id, "device.info", True)
    assert invoke["rule"] == "command-device"
    refused = [(entry["what"], entry["node"]) for entry in entries(castle, "refused")]
    methods = ("config.get", "exec.run", "sessions.delete")
    assert refused == [(method, castle.canary.node_id) for method in methods], "each method once, repeats are counted"
    assert (await verdict(castle))["ok"] is True


async def test_what_was_answered_is_there_after_a_kill(castle: Fortress) -> None:
    """SIGKILL right after each answer. Red when the control API does not settle, or `record` does not flush."""
    phone, request, asking = await waiting(castle, "Kitchen")
    await castle.bridge.ask(lambda: castle.bridge.client.approve(request, None, None))
    await castle.bridge.kill()
    assert entries(castle, "approved")[-1]["node"] == phone.node_id
    await asking
    await castle.bridge.start()
    for change, event in (
        (lambda: castle.bridge.client.revoke(RevokeBody(ids=[phone.node_id])), "revoked"),
        (lambda: castle.bridge.client.mint_native_link(["device"], None, 300, None), "code-made"),
    ):
        before = len(entries(castle, event))
        await castle.bridge.ask(change)
        await castle.bridge.kill()
        assert len(entries(castle, event)) == before + 1, event
        assert (await verdict(castle))["ok"] is True
        await castle.bridge.start()
        assert (await verdict(castle))["ok"] is True
    await castle.bridge.connected()


async def test_a_log_that_cannot_be_written_lets_nobody_in_and_keeps_nobody(castle: Fortress) -> None:
    """The head's table is taken away: that stands for a disk that refuses. Positive control: it is put back."""
    kept = await castle.paired()
    phone, request, asking = await waiting(castle, "Later")
    sql(castle, "ALTER TABLE audit_head RENAME TO aside")
    try:
        with pytest.raises(BridgeError, match="Nothing was approved, because the audit log") as failed:
            await castle.bridge.ask(lambda: castle.bridge.client.approve(request, None, None))
        assert (failed.value.code, "Make room" in str(failed.value.fix)) == ("AUDIT", True)
        with pytest.raises(BridgeError, match="It is done, but the audit log"):
            await castle.bridge.ask(lambda: castle.bridge.client.revoke(RevokeBody(ids=[kept.node_id])))
        assert (await castle.bridge.node_in(kept.node_id, "revoked")).state == "revoked"
        status = await castle.bridge.ask(castle.bridge.client.status)
        assert status.audit is not None
        assert "audit log" in str(status.audit.problem)
        page = await castle.bridge.ask(lambda: said(castle.bridge.home, "status"))
        assert "cannot be written" in page
    finally:
        sql(castle, "ALTER TABLE aside RENAME TO audit_head")
    await castle.bridge.ask(lambda: castle.bridge.client.approve(request, None, None))
    assert entries(castle, "revoked")[-1]["node"] == kept.node_id, "what waited is written"
    assert entries(castle, "approved")[-1]["node"] == phone.node_id
    await asking
    assert (await verdict(castle))["ok"] is True


async def test_h7_an_edited_line_and_a_cut_tail_are_reported_with_their_place(castle: Fortress) -> None:
    """The daemon is stopped, the file is changed, and starting again does not make it good."""
    await castle.bridge.stop()
    active = log_of(castle).files[-1]
    whole = active.read_bytes()
    lines = whole.splitlines(keepends=True)
    first = json.loads(lines[0])["seq"]
    place = len(lines) // 2
    edited = lines[place].replace(b'"ts":"2', b'"ts":"1', 1)
    active.write_bytes(b"".join([*lines[:place], edited, *lines[place + 1 :]]))
    found = await verdict(castle)
    assert (found["ok"], found["brokenAt"], found["why"]) == (False, first + place, "changed")
    active.write_bytes(b"".join(lines[:-3]))
    found = await verdict(castle)
    assert (found["ok"], found["brokenAt"], found["why"]) == (False, first + len(lines) - 3, "cut")
    active.write_bytes(whole)
    assert (await verdict(castle))["ok"] is True
    active.write_bytes(b"".join(lines[:-3]))
    await castle.bridge.start()
    await castle.bridge.connected()
    found = await verdict(castle)
    assert (found["ok"], found["brokenAt"]) == (False, first + len(lines) - 3)
    assert entries(castle, "gap")
    assert (await castle.bridge.cli("audit", "verify")).returncode == 1
    assert (await castle.bridge.cli("audit", "verify", "--from", str(found["wholeAfter"]))).returncode == 0
    await castle.invoked()


async def test_a_daemon_that_cannot_write_its_log_does_not_start_and_says_what_mends_it() -> None:
    """What passes a daemon without a log would leave no trace. Positive control: with the folder back it starts."""
    bridge = BridgeProcess("ws://127.0.0.1:9", None)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(bridge.__aexit__, None, None, None)
        bridge.home.mkdir(mode=0o700)
        (bridge.home / "audit").write_text("in the way")
        with pytest.raises(RuntimeError, match=r"audit log in .* cannot be written \(.*\)\. See: ls -ld"):
            await bridge.start()
        (bridge.home / "audit").unlink()
        await bridge.start()
