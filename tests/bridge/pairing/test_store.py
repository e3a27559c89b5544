"""`paired-nodes.json`: whole or refused, never begun empty, never apart from what readers see."""

from __future__ import annotations

import asyncio
import json
import random
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from acl.permissions import Permission
from bridge.pairing.records import NodeRecord, Role, StoreFile
from bridge.pairing.store import FILE_NAME, MAX_FILE_BYTES, MAX_NODES, NodeStore, StoreError
from bridge.pairing.tokens import issue, mint
from tests.bridge.pairing.samples import NOON, identity, record
from tests.support import scale
from tests.support.files import lay

ROOT = Path(__file__).parents[3]
TWO = StoreFile(nodes=(issue(record(1), Role.NODE, mint(b"\x07" * 32, NOON)), record(2, revoked_at=NOON)))


def renamed(name: str) -> Callable[[NodeRecord | None], NodeRecord]:
    def change(known: NodeRecord | None) -> NodeRecord:
        assert known is not None
        return known.model_copy(update={"labels": known.labels.model_copy(update={"display_name": name})})

    return change


def name_of(store: NodeStore, number: int) -> str:
    known = store.get(identity(number).device_id)
    assert known is not None
    return known.labels.display_name


class TestFile:
    async def test_what_was_put_is_there_after_a_restart(self, home: Path) -> None:
        store = NodeStore(home)
        assert dict(store.nodes) == {}
        for one in TWO.nodes:
            assert await store.put(one) == one
        again = NodeStore(home)
        assert tuple(again.nodes.values()) == TWO.nodes
        assert again.get(TWO.nodes[0].node_id) == TWO.nodes[0]
        assert again.get("unknown") is None

    async def test_the_file_is_private_named_in_camel_case_and_alone(self, home: Path) -> None:
        await NodeStore(home).put(TWO.nodes[0])
        assert [each.name for each in home.iterdir()] == [FILE_NAME]
        assert stat.S_IMODE((home / FILE_NAME).stat().st_mode) == 0o600
        document = json.loads((home / FILE_NAME).read_bytes())
        assert document["version"] == 1
        assert {"nodeId", "gatewayNodeId", "staleUpstream"} <= document["nodes"][0].keys()

    async def test_readers_cannot_change_it(self, home: Path) -> None:
        store = NodeStore(home)
        await store.put(TWO.nodes[0])
        with pytest.raises(TypeError):
            store.nodes["x"] = TWO.nodes[1]  # type: ignore[index]  # the point of the test

    async def test_an_unchanged_record_is_neither_written_nor_told(self, home: Path) -> None:
        store = NodeStore(home)
        await store.put(TWO.nodes[0])
        before = (home / FILE_NAME).stat().st_ino
        told: list[NodeRecord] = []
        store.on_change(told.append)
        await store.put(TWO.nodes[0])
        assert told == []
        assert (home / FILE_NAME).stat().st_ino == before

    async def test_it_holds_no_more_nodes_than_its_bound(self, home: Path) -> None:
        full = StoreFile(nodes=tuple(record(1, node_id=f"{number:064x}") for number in range(MAX_NODES)))
        lay(home / FILE_NAME, full.model_dump_json(by_alias=True).encode())
        store = NodeStore(home)
        with pytest.raises(StoreError, match="nodes already"):
            await store.put(record(3))
        await store.update(f"{0:064x}", renamed("Still possible"))
        assert len(NodeStore(home).nodes) == MAX_NODES

    async def test_it_writes_nothing_that_it_would_refuse_to_read(self, home: Path) -> None:
        store = NodeStore(home)
        await store.put(record(1))
        huge = record(2, wants=("x" * MAX_FILE_BYTES,))
        with pytest.raises(StoreError, match="longer than"):
            await store.put(huge)
        assert dict(store.nodes) == dict(NodeStore(home).nodes) == {record(1).node_id: record(1)}


VALID = TWO.model_dump_json(by_alias=True, indent=1).encode()
DOCUMENT = json.loads(VALID)
DAMAGED = {
    "empty": b"",
    "blanks": b" \n",
    "null": b"null",
    "a list": b"[]",
    "no object": b'"nodes"',
    "not utf-8": VALID.replace(b"Anna", b"An\xffa"),
    "utf-16": VALID.decode().encode("utf-16"),
    "two documents": VALID + VALID,
    "another version": json.dumps({**DOCUMENT, "version": 2}).encode(),
    "version zero": json.dumps({**DOCUMENT, "version": 0}).encode(),
    "an unknown member": json.dumps({**DOCUMENT, "admins": []}).encode(),
    "an unknown member of a node": json.dumps({**DOCUMENT, "nodes": [{**DOCUMENT["nodes"][0], "root": 1}]}).encode(),
    "an unknown permission": VALID.replace(b'"voice"', b'"root"'),
    "nodes of another kind": json.dumps({**DOCUMENT, "nodes": {}}).encode(),
    "a node without its key": VALID.replace(b'"publicKey"', b'"publicKez"'),
    "two records of one node": json.dumps({**DOCUMENT, "nodes": [DOCUMENT["nodes"][0]] * 2}).encode(),
}


class TestDamage:
    @pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
    def test_a_damaged_file_is_refused_and_left_as_it_is(self, home: Path, content: bytes) -> None:
        path = lay(home / FILE_NAME, content)
        with pytest.raises(StoreError, match=FILE_NAME):
            NodeStore(home)
        assert path.read_bytes() == content
        assert [each.name for each in home.iterdir()] == [FILE_NAME]

    def test_the_message_says_what_to_do(self, home: Path) -> None:
        path = lay(home / FILE_NAME, b"{")
        with pytest.raises(StoreError, match=f"backup.*\nmv '{path}' '{path}.bad';"):
            NodeStore(home)

    def test_cut_at_any_byte_it_is_refused(self, home: Path) -> None:
        path = lay(home / FILE_NAME, VALID)
        for length in range(len(VALID)):
            path.write_bytes(VALID[:length])
            with pytest.raises(StoreError):
                NodeStore(home)

    def test_a_flipped_bit_is_refused_or_grants_nothing_more(self, home: Path) -> None:
        path, chance = lay(home / FILE_NAME, VALID), random.Random(scale.seed())  # noqa: S311 - the chance of a test
        refused = 0
        for _ in range(scale.scale(5000)):
            at, bit = chance.randrange(len(VALID)), 1 << chance.randrange(8)
            path.write_bytes(VALID[:at] + bytes([VALID[at] ^ bit]) + VALID[at + 1 :])
            try:
                nodes = list(NodeStore(home).nodes.values())
            except StoreError:
                refused += 1
                continue
            assert len(nodes) == len(TWO.nodes), (at, bit)
            for found, was in zip(nodes, TWO.nodes, strict=True):
                assert found.granted == was.granted, (at, bit)
                granted, before = found.declared.granted(found.granted), was.declared.granted(was.granted)
                assert set(granted.commands) <= set(before.commands), (at, bit)
                assert (found.revoked_at is None) == (was.revoked_at is None), (at, bit)
                assert found.security is was.security
        assert refused

    def test_a_file_beyond_the_bound_is_refused_before_it_is_read(self, home: Path) -> None:
        with lay(home / FILE_NAME, b"").open("r+b") as file:
            file.truncate(MAX_FILE_BYTES * 6)
        with pytest.raises(StoreError, match="longer than"):
            NodeStore(home)

    @pytest.mark.parametrize("mode", [0o640, 0o644, 0o666])
    def test_a_file_that_others_can_open_is_refused(self, home: Path, mode: int) -> None:
        lay(home / FILE_NAME, VALID).chmod(mode)
        with pytest.raises(StoreError, match="other users can open it"):
            NodeStore(home)

    def test_a_link_or_folder_in_its_place_is_refused(self, home: Path, tmp_path: Path) -> None:
        (home / FILE_NAME).symlink_to(tmp_path / "nowhere")
        with pytest.raises(StoreError, match="symbolic link"):
            NodeStore(home)
        (home / FILE_NAME).unlink()
        (home / FILE_NAME).mkdir()
        with pytest.raises(StoreError):
            NodeStore(home)


class TestRefusedWrites:
    async def test_a_write_that_fails_changes_nothing_and_tells_nobody(self, home: Path) -> None:
        store = NodeStore(home)
        await store.put(TWO.nodes[0])
        told: list[NodeRecord] = []
        store.on_change(told.append)
        home.chmod(0o777)  # a folder that others can write in is not trusted, whoever runs the test
        with pytest.raises(StoreError, match="other users can write"):
            await store.put(record(3))
        home.chmod(0o700)
        assert told == []
        assert dict(store.nodes) == dict(NodeStore(home).nodes) == {TWO.nodes[0].node_id: TWO.nodes[0]}
        await store.put(record(3))
        assert len(NodeStore(home).nodes) == 2

    def test_a_full_disk_keeps_the_old_state_in_memory_and_on_disk(self, home: Path) -> None:
        program = (
            "import asyncio, resource, sys; from pathlib import Path\n"
            "from bridge.pairing.store import NodeStore, StoreError\n"
            "from tests.bridge.pairing.samples import record\n"
            "async def main():\n"
            "    store = NodeStore(Path(sys.argv[1]))\n"
            "    await store.put(record(1))\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n"
            "    try: await store.put(record(2))\n"
            "    except StoreError as error: print(error)\n"
            "    print(len(store.nodes))\n"
            "asyncio.run(main())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(home)],
            cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        assert "could not be written" in done.stdout
        assert done.stdout.splitlines()[-1] == "1"
        assert dict(NodeStore(home).nodes) == {record(1).node_id: record(1)}
        assert [each.name for each in home.iterdir()] == [FILE_NAME]

    async def test_a_change_that_raises_leaves_the_store_usable(self, home: Path) -> None:
        store = NodeStore(home)

        def impossible(known: NodeRecord | None) -> NodeRecord:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await store.update("x", impossible)
        await store.put(record(1))
        assert len(NodeStore(home).nodes) == 1


@contextmanager
def stopped_disk() -> Iterator[threading.Event]:
    """Run writes of this loop one after the other, none before the event is set."""
    go = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        executor.submit(go.wait, 10.0)
        try:
            yield go
        finally:
            go.set()


class TestConcurrency:
    async def test_changes_at_once_do_not_undo_each_other(self, home: Path) -> None:
        store = NodeStore(home)
        await store.put(record(0))

        def add(number: int) -> Callable[[NodeRecord | None], NodeRecord]:
            def change(known: NodeRecord | None) -> NodeRecord:
                assert known is not None
                return known.model_copy(update={"wants": (*known.wants, f"w{number}")})

            return change

        changes = [store.update(record(0).node_id, add(number)) for number in range(20)]
        await asyncio.gather(*changes, *(store.put(record(number)) for number in range(1, 21)))
        again = NodeStore(home)
        assert dict(again.nodes) == dict(store.nodes)
        assert len(again.nodes) == 21
        assert again.nodes[record(0).node_id].wants == tuple(f"w{number}" for number in range(20))

    async def test_a_caller_that_goes_away_in_mid_write_parts_nothing_and_silences_nobody(self, home: Path) -> None:
        store = NodeStore(home)
        for number in (1, 2):
            await store.put(record(number))
        told: list[str] = []
        store.on_change(lambda changed: told.append(changed.labels.display_name))
        with stopped_disk() as go:
            async with asyncio.TaskGroup() as tasks:
                gone = tasks.create_task(store.update(record(1).node_id, renamed("of one who left")))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                gone.cancel()
                stays = tasks.create_task(store.update(record(2).node_id, renamed("of one who stayed")))
                for _ in range(5):
                    await asyncio.sleep(0)
                assert not stays.done()
                assert told == []
                assert name_of(store, 1) == "Anna's iPhone", "readers saw what is not on disk"
                go.set()
            assert gone.cancelled()
        again = NodeStore(home)
        assert told == ["of one who left", "of one who stayed"]
        assert dict(again.nodes) == dict(store.nodes)
        assert (name_of(again, 1), name_of(again, 2)) == ("of one who left", "of one who stayed")

    async def test_a_caller_that_goes_away_while_it_waits_its_turn_changes_nothing(self, home: Path) -> None:
        store = NodeStore(home)
        await store.put(record(1))
        with stopped_disk() as go:
            async with asyncio.TaskGroup() as tasks:
                first = tasks.create_task(store.update(record(1).node_id, renamed("first")))
                await asyncio.sleep(0)
                waiting = tasks.create_task(store.update(record(1).node_id, renamed("second")))
                await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.sleep(0)
                go.set()
            assert first.done()
        assert name_of(store, 1) == name_of(NodeStore(home), 1) == "first"

    async def test_listeners_hear_each_change_once_after_it_is_on_disk(self, home: Path) -> None:
        store = NodeStore(home)
        seen: list[bool] = []
        store.on_change(lambda changed: seen.append(NodeStore(home).get(changed.node_id) == changed))
        await asyncio.gather(*(store.put(record(number)) for number in range(5)))
        assert seen == [True] * 5


def test_a_permission_of_the_file_is_a_permission_of_the_table() -> None:
    assert set(DOCUMENT["nodes"][0]["permissions"]) <= {permission.value for permission in Permission}
