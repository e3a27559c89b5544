"""What a bridge is built from: a refusal to start tells lines that, when they are followed, let it start."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from bridge import clock
from bridge.config import AuthTable, Config, ConfigError, GatewayTable, LimitsTable, PairingTable
from bridge.lan.door import Visit
from bridge.lan.known_addresses import KnownAddresses
from bridge.log import make_log
from bridge.pairing.records import NodeRecord, Security
from bridge.pairing.store import FILE_NAME, NodeStore, StoreError
from bridge.parts import Parts, build
from bridge.tasks import Tasks
from certs.errors import IdentityError
from tests.bridge.audit.remembered import Remembered
from tests.bridge.lan.doors import knows
from tests.bridge.pairing.samples import record
from tests.support.files import follow
from tests.support.waiting import eventually


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "a home"
    folder.mkdir(mode=0o700)
    return folder


async def built(home: Path, config: Config | None = None) -> Parts:
    log = make_log("debug", "json", io.StringIO())
    async with Tasks(log) as tasks:
        return await build(home, config or Config(), tasks, log, Remembered())


async def used(home: Path, security: Security = Security.DEVICE_KEY) -> Parts:
    """A bridge that was started once and has paired a node."""
    parts = await built(home)
    parts.keys.create_ed25519("0123456789abcdef")
    await parts.hub.reception.store.put(record(1, security=security))
    return parts


def paired(home: Path) -> list[NodeRecord]:
    return [node for node in NodeStore(home).nodes.values() if node.revoked_at is None]


async def test_the_first_start_writes_the_store_and_the_second_finds_it(home: Path) -> None:
    first = await built(home)
    assert (home / FILE_NAME).exists()
    assert (await built(home)).certificates.identity.pin == first.certificates.identity.pin


async def test_where_certificates_are_required_there_is_no_port_for_apps(home: Path) -> None:
    parts = await built(home, Config(auth=AuthTable(require_mtls=True)))
    assert parts.apps is None
    assert parts.listeners == (parts.nodes,)
    await parts.certificates.renew()  # new handshakes show it, at the port that there is
    with_apps = await built(home)
    assert [one.name for one in with_apps.listeners] == ["nodes", "apps"]


@pytest.mark.parametrize("lost", ["bridge.pem", "passphrase"])
async def test_the_way_out_of_a_lost_key_leads_out_when_nodes_are_paired(home: Path, lost: str) -> None:
    """Guard out (the store's line is not told): the same refusal comes again and again."""
    before = await used(home)
    (home / "keys" / lost).unlink()
    with pytest.raises(IdentityError) as refused:
        await built(home)
    follow(str(refused.value))
    after = await built(home)
    assert after.certificates.identity.pin != before.certificates.identity.pin
    assert paired(home) == []
    assert (home / f"{FILE_NAME}.bad").exists()


async def test_the_way_out_of_a_lost_authority_leads_out_when_native_nodes_are_paired(home: Path) -> None:
    before = await used(home, Security.MTLS)
    (home / "keys" / "client-ca.pem").unlink()
    with pytest.raises(IdentityError) as refused:
        await built(home)
    follow(str(refused.value))
    after = await built(home)
    assert after.certificates.identity.pin == before.certificates.identity.pin
    assert paired(home) == []


async def test_a_lost_key_without_nodes_says_nothing_of_them(home: Path) -> None:
    await built(home)
    (home / "keys" / "bridge.pem").unlink()
    with pytest.raises(IdentityError) as refused:
        await built(home)
    assert FILE_NAME not in str(refused.value)
    follow(str(refused.value))
    await built(home)


async def test_a_lost_store_is_not_begun_anew_and_the_way_out_leads_out(home: Path) -> None:
    before = await used(home)
    (home / FILE_NAME).unlink()
    with pytest.raises(StoreError, match="is missing, and keys of paired nodes are there") as refused:
        await built(home)
    follow(str(refused.value))
    assert (await built(home)).certificates.identity.pin == before.certificates.identity.pin


async def test_lost_keys_are_not_made_anew_while_nodes_are_paired(home: Path) -> None:
    """Red with `load_or_create` in `_certificates`: another identity, and no word to the apps that pin the first."""
    await used(home)
    shutil.rmtree(home / "keys")
    with pytest.raises(IdentityError):
        await built(home)
    assert len(paired(home)) == 1


async def test_a_store_from_before_a_revocation_brings_nobody_back(home: Path) -> None:
    """Red without `reconcile` in `build`: whoever puts a backup in place lets a revoked phone in."""
    parts = await used(home)
    (node,) = paired(home)
    before = (home / FILE_NAME).read_bytes()
    await parts.hub.reception.revoke(node.node_id)
    (home / FILE_NAME).write_bytes(before)
    assert paired(home) == [node]
    await built(home)
    assert paired(home) == []


async def test_a_damaged_store_has_one_way_out_too(home: Path) -> None:
    await used(home)
    (home / FILE_NAME).write_text("{")
    with pytest.raises(StoreError) as refused:
        await built(home)
    follow(str(refused.value))
    await built(home)
    assert paired(home) == []


async def test_an_address_of_a_paired_phone_is_known_after_a_restart(home: Path) -> None:
    """Red without `recall` or `on_known`: strangers that hold all their places keep the phone out."""
    log = make_log("debug", "json", io.StringIO())
    async with Tasks(log) as tasks:
        before = await build(home, Config(), tasks, log, Remembered())
        visit = before.door.enter("192.168.1.7", clock.now().mono)
        assert isinstance(visit, Visit)
        visit.admit(clock.now().mono)
        database = home / "bridge.sqlite3"
        await eventually(lambda: KnownAddresses(database, tasks, log).read(clock.now()))
    after = await built(home)
    assert knows(after.door, "192.168.1.7", clock.now().mono)
    assert not knows(after.door, "192.168.1.8", clock.now().mono)


async def test_a_default_profile_that_is_none_names_its_key(home: Path) -> None:
    config = Config(pairing=PairingTable(default_profile="phon"))
    log = make_log("debug", "json", io.StringIO())
    async with Tasks(log) as tasks:
        with pytest.raises(
            ConfigError, match=r"pairing\.default_profile: 'phon' is no profile\. Did you mean 'phone'\?"
        ):
            await build(home, config, tasks, log, Remembered())


async def test_a_gateway_of_a_user_that_does_not_exist_is_told_by_its_key(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.user: 'nobody-of-that-name' is no user"):
        await built(home, Config(gateway=GatewayTable(user="nobody-of-that-name")))
    await built(home, Config(gateway=GatewayTable(user="root")))


async def test_the_limits_of_the_configuration_are_in_force(home: Path) -> None:
    parts = await built(home, Config(limits=LimitsTable(in_flight=7, in_flight_bytes=30_000_000)))
    assert parts.hub.switchboard.forwarding.queue.places == 7
    assert parts.flow.pool.budget.limit == 30_000_000
