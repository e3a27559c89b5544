"""What the bridge counts and measures, in the text format that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bridge import metric_labels as labels
from gateway_client.frames import Json

PREFIX = "clawdis_bridge"
GATEWAY_STATES = ("connected", "connecting", "refused", "down")
LINK_STATES = ("ready", "making", "failed")
_DROPPED = frozenset(
    """event-too-large invoke-malformed invoke-repeated late-answer late-result pending-refused
    result-lost""".split()  # noqa: SIM905 - one word a line would hide the list
)
HANDSHAKES = ("made", "refused", "aborted", "turned-away")
# Seconds of an invoke: a phone shows a page within a second or two, and takes up to half a minute for a photo.
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Levels:
    """What is so at this moment.

    Attributes:
        nodes: nodes with an open socket.
        gateway: the state of the operator link.
        links: connections that stand for nodes at the gateway, by state.
        calls: calls that have not been answered, with those that wait.
        calls_waiting: calls that wait for a place.
        places: calls that the gateway is answering.
        bytes_in_flight: of large messages on their way to the gateway.
        sockets_held: sockets that are not read because those bytes are used up.
        bytes_buffered: that wait for phones.
        refused: answers that refused something to a node since the start, by kind.
        limited: limits that were met since the start, by limit.
        audit_lines: the number of the audit log's last line.
    """

    nodes: int = 0
    gateway: str = "down"
    links: Mapping[str, int] = field(default_factory=dict)
    calls: int = 0
    calls_waiting: int = 0
    places: int = 0
    bytes_in_flight: int = 0
    sockets_held: int = 0
    bytes_buffered: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    limited: Mapping[str, int] = field(default_factory=dict)
    audit_lines: int = 0


class Metrics:
    """See the module's text. Counted by those who see it happen; `watch` names who knows the levels."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        self._levels: Callable[[], Levels] = Levels
        self._registry.register(_Now(self.levels))
        self._calls = self._counter("calls", "Calls of phones at the gateway.", "method", "outcome")
        self._invokes = self._counter("invokes", "Commands of the agent to nodes.", "family", "outcome")
        self._dropped = self._counter("dropped", "What came too late, or was of no use.", "what")
        self._connects = self._counter("connects_refused", "Devices that were not let in.", "code")
        self._handshakes = self._counter("handshakes", "TCP connections at the ports.", "outcome")
        self._seconds = Histogram(
            f"{PREFIX}_invoke_seconds",
            "From the agent's command to the node's result.",
            ["family"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        for outcome in HANDSHAKES:
            self._handshakes.labels(outcome)

    def _counter(self, name: str, text: str, *names: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, names, registry=self._registry)

    def watch(self, levels: Callable[[], Levels]) -> None:
        """Asks `levels` from now on."""
        self._levels = levels

    def levels(self) -> Levels:
        """Returns what is so at this moment."""
        return self._levels()

    def text(self) -> str:
        """Returns everything."""
        return generate_latest(self._registry).decode("utf-8")

    def handshake(self, outcome: str) -> None:
        """A TCP connection was made, refused, aborted or turned away: one of `HANDSHAKES`."""
        self._handshakes.labels(outcome).inc()

    def call(self, method: str, outcome: str) -> None:
        """The call of a phone has its final answer.

        Args:
            method: the method.
            outcome: "ok", the code of the gateway's error, or the bridge's fault.
        """
        self._calls.labels(labels.method_label(method), labels.outcome_label(outcome)).inc()

    def note(self, event: str, fields: Mapping[str, Json]) -> None:
        """A session has noted something; what is not measured is passed over."""
        match event:
            case "invoke":
                self._invoke(fields, "ok" if fields.get("ok") is True else "failed")
            case "invoke-replayed" | "invoke-shared":
                self._invoke(fields, event.removeprefix("invoke-"))
            case "invoke-refused" | "invoke-ended":
                self._invoke(fields, labels.code_label(_text(fields, "code")))
            case "invokes-lost":
                count = fields.get("count")
                self._invokes.labels(labels.OTHER, "lost").inc(count if isinstance(count, int) else 1)
            case "connect-refused":
                self._connects.labels(labels.code_label(_text(fields, "code"))).inc()
            case _ if event in _DROPPED:
                self._dropped.labels(event).inc()

    def _invoke(self, fields: Mapping[str, Json], outcome: str) -> None:
        family, ms = labels.family_label(_text(fields, "command")), fields.get("ms")
        self._invokes.labels(family, outcome).inc()
        if isinstance(ms, int | float) and outcome in {"ok", "failed"}:
            self._seconds.labels(family).observe(ms / 1000)


def _text(fields: Mapping[str, Json], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


class _Now(Collector):
    def __init__(self, levels: Callable[[], Levels]) -> None:
        self._levels = levels

    def describe(self) -> Iterator[Metric]:
        """The same, before anything is known."""
        return _now(Levels())

    def collect(self) -> Iterator[Metric]:
        """What is so now."""
        return _now(self._levels())


def _now(levels: Levels) -> Iterator[Metric]:
    state = GaugeMetricFamily(f"{PREFIX}_gateway", "The link to the gateway: 1 for its state.", labels=["state"])
    for name in GATEWAY_STATES:
        state.add_metric([name], float(levels.gateway == name))
    links = GaugeMetricFamily(f"{PREFIX}_links", "Connections that stand for nodes there.", labels=["state"])
    for name in LINK_STATES:
        links.add_metric([name], levels.links.get(name, 0))
    yield state
    yield links
    for name, text, counts in (
        ("refused", "Answers that refused something to a node.", levels.refused),
        ("limited", "Limits that a node met.", levels.limited),
    ):
        counter = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=["kind"])
        for kind, count in counts.items():
            counter.add_metric([kind], count)
        yield counter
    for name, text, value in (
        ("nodes_connected", "Nodes with an open socket.", levels.nodes),
        ("calls_unanswered", "Calls of phones without an answer, with those that wait.", levels.calls),
        ("calls_waiting", "Calls of phones that wait for a place at the gateway.", levels.calls_waiting),
        ("calls_in_flight", "Calls of phones that the gateway is answering.", levels.places),
        ("bytes_in_flight", "Bytes of large messages on their way to the gateway.", levels.bytes_in_flight),
        ("sockets_held", "Sockets that wait for room for a large message.", levels.sockets_held),
        ("bytes_buffered", "Bytes that wait for phones.", levels.bytes_buffered),
        ("audit_lines", "Lines of the audit log, those that were removed in time with them.", levels.audit_lines),
    ):
        yield GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)
