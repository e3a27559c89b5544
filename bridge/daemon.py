"""The daemon: builds the parts, starts them in order, stops them in reverse."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import uvloop

from bridge import __version__, clock
from bridge.addresses import ListenAddress, machine_addresses, select_addresses
from bridge.audit.trail import Trail
from bridge.certificate_desk import CertificateDesk
from bridge.code_desk import CodeDesk
from bridge.config import Config, ConfigError
from bridge.control.api import ControlServer
from bridge.daemon_lock import AlreadyRunningError, daemon_lock
from bridge.discovery import Advertiser, DiscoveryState, DiscoveryStatus
from bridge.discovery_records import build_records
from bridge.errors import BridgeError
from bridge.hub import Hub
from bridge.log import Log, make_log
from bridge.notices import Notices
from bridge.operations import BridgeOperations
from bridge.pairing.approvers.choice import choose_approvers
from bridge.pairing.approvers.panel import Panel
from bridge.pairing.prompt_rules import PromptRules
from bridge.pairing.reception import Reception
from bridge.pairing.store import StoreError
from bridge.parts import Parts, build
from bridge.policy_desk import PolicyDesk, traced
from bridge.prompting import Prompting
from bridge.tasks import Tasks
from certs.errors import IdentityError
from certs.private_files import PrivateFileError, private_folder

EXPIRE_EVERY_S = 5.0  # seconds between looks for requests whose clients have gone
SWEEP_EVERY_S = 30.0  # seconds between tries to remove from the gateway, and to write, what could not be before
GOODBYE_S = 1.0  # seconds for the last frames to reach the phones
CONTROL_SOCKET = "bridge.sock"
_REFUSALS = (
    AlreadyRunningError,
    ConfigError,
    BridgeError,
    StoreError,
    IdentityError,
    PrivateFileError,
    OSError,
    ValueError,
)


def run(home: Path, config: Config) -> int:
    """Runs the daemon until SIGTERM or SIGINT; returns the exit status.

    Args:
        home: the bridge's folder; made when it is missing.
        config: the configuration.
    """
    trail = Trail(home)
    log = make_log(config.logging.level, config.logging.format, tap=trail.note)
    try:
        private_folder(home)
        with daemon_lock(home):
            uvloop.run(Daemon(home, config, log, trail).serve())
    except _REFUSALS as exc:
        sys.stderr.write(f"clawdis-bridge: {exc}\n")
        return 1
    return 0


class Daemon:
    """One run of the bridge.

    Args:
        home: the bridge's folder, private and locked.
        config: the configuration.
        trail: the audit log; a tap of `log`.
    """

    def __init__(self, home: Path, config: Config, log: Log, trail: Trail) -> None:
        self._home = home
        self._config = config
        self._log = log
        self._trail = trail
        self._advertiser: Advertiser | None = None
        self._stop: asyncio.Event

    async def serve(self) -> None:
        """Starts everything, waits for a signal, stops everything.

        Raises:
            IdentityError, StoreError, PrivateFileError, OSError, ValueError: it cannot start; the message says why.
        """
        self._stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        async with AsyncExitStack() as stack:
            await self._begin_trail()
            stack.push_async_callback(self._trail.close)  # last: what ends leaves a trace, too
            tasks = await stack.enter_async_context(Tasks(self._log))
            tasks.spawn("audit", self._trail.run())
            await self._start(stack, tasks)
            await self._stop.wait()
            self._log.info("stopping")

    async def _begin_trail(self) -> None:
        await self._trail.open(self._log)
        await self._trail.record(
            "started",
            version=__version__,
            pid=os.getpid(),
            config=hashlib.sha256(self._config.model_dump_json().encode("utf-8")).hexdigest()[:16],
            require_mtls=self._config.auth.require_mtls,
            always_open=self._config.pairing.always_open,
        )

    async def _start(self, stack: AsyncExitStack, tasks: Tasks) -> None:
        parts = await build(self._home, self._config, tasks, self._log, self._trail)
        hub, listen = parts.hub, self._config.listen
        await self._trail.record("policy-in-force", **traced(parts.policy))  # before anybody can come in by it
        stack.push_async_callback(hub.calls.flush)
        addresses = select_addresses(listen.hosts, machine_addresses(), listen.allow_public)
        for listener in parts.listeners:
            await listener.start(addresses, listen.node_port if listener is parts.nodes else listen.app_port)
            stack.push_async_callback(listener.stop)
            self._log.info("listening", listener=listener.name, addresses=listener.addresses, port=listener.port)
        stack.push_async_callback(_goodbye, hub)
        policy = PolicyDesk(self._home, self._config.pairing.default_profile, parts.policy, hub, self._log)
        self._on_hangup(lambda: tasks.spawn("policy-reload", policy.reload_on_signal()))
        operations = BridgeOperations(
            hub,
            self._config,
            parts.certificates,
            listeners=parts.listeners,
            discovery=self._discovery,
            codes=CodeDesk(
                hub.reception,
                hub.admissions.codes,
                parts.certificates,
                nodes=parts.nodes,
                apps=parts.apps,
                discovery=self._discovery,
                host=parts.names.host,
                profiles=lambda: policy.profiles,
            ),
            policy=policy,
            certs=CertificateDesk(
                parts.certificates, parts.keys, hub.reception.store, host=parts.names.host, end_all=hub.end_all
            ),
            metrics=parts.flow.metrics,
            started=clock.now(),
        )
        await stack.enter_async_context(
            ControlServer(self._home / CONTROL_SOCKET, operations, settled=self._trail.flush)
        )
        self._ask_people(parts, tasks)
        tasks.spawn("operator-link", hub.switchboard.operator.run())
        tasks.spawn("expire-requests", _expire(hub.reception))
        tasks.spawn("watch-withheld", hub.switchboard.watch_withheld())
        tasks.spawn("sweep-stale", _sweep(hub))
        if self._config.discovery.enabled:
            tasks.spawn("advertiser", self._advertise(parts, addresses))

    def _on_hangup(self, reload: Callable[[], object]) -> None:
        """SIGHUP reads the policy again; on a terminal it means that the window was closed, and stops the bridge.

        Who has it ignored, as `nohup` does, keeps it so.
        """
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            in_window = sys.stdin is not None and sys.stdin.isatty()
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._stop.set if in_window else reload)

    def _ask_people(self, parts: Parts, tasks: Tasks) -> None:
        chosen = choose_approvers(self._config.pairing.prompt)
        if chosen.problem is not None:
            self._log.warning("no-prompts", why=chosen.problem)
        if chosen.notifiers:
            notices = Notices(chosen.notifiers, tasks, self._log)
            parts.hub.reception.on_change(notices.on_desk)
        if chosen.approvers:
            panel, rules = Panel(chosen.approvers, self._log), PromptRules(self._config.pairing.prompt_timeout_s)
            prompting = Prompting(parts.hub.reception, parts.certificates, panel, rules, self._log)
            tasks.spawn("prompts", prompting.run())

    def _discovery(self) -> DiscoveryStatus:
        if self._advertiser is not None:
            return self._advertiser.status
        why = None if self._config.discovery.enabled else "switched off (discovery.enabled)"
        return DiscoveryStatus(DiscoveryState.OFF, why)

    async def _advertise(self, parts: Parts, addresses: Sequence[ListenAddress]) -> None:
        changed = asyncio.Event()
        parts.certificates.on_change(lambda _: changed.set())
        while True:
            changed.clear()
            pin = parts.certificates.identity.pin
            app_port = parts.apps.port if parts.apps is not None else None
            records = build_records(parts.names, pin, app_port=app_port, node_port=parts.nodes.port)
            self._advertiser = Advertiser(records, addresses)
            async with self._advertiser as advertiser:
                self._log.info("discovery", state=advertiser.state.value, detail=advertiser.status.detail)
                await changed.wait()  # the records name the certificate


async def _expire(reception: Reception) -> None:
    while True:
        await asyncio.sleep(EXPIRE_EVERY_S)
        reception.expire()


async def _sweep(hub: Hub) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        await hub.reception.catch_up()
        hub.sweep_stale()
        hub.calls.sweep()


async def _goodbye(hub: Hub) -> None:
    hub.end_all("bridge stopping")
    with suppress(TimeoutError):
        async with asyncio.timeout(GOODBYE_S):
            await hub.empty.wait()
