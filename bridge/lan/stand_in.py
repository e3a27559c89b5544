"""At the phone's end of a link that lingers, while the phone is away. Decides nothing; see `bridge.lan.absence`."""

from __future__ import annotations

from collections.abc import Callable

from acl.model import Subject
from bridge import clock
from bridge.lan.absence import Absence
from bridge.lan.directory import Directory
from bridge.lan.events import FromGateway, Note, Noted, Report, SessionEvent
from bridge.lan.recall import Replay
from bridge.log import Log, marks
from bridge.pairing.records import NodeRecord, Surface


class StandIn:
    """See the module's text.

    Args:
        record: the node.
        offer: what its link offers.
        directory: what may be looked up.
        report: tells the gateway how an invoke ended.
        line: how many lines of the log of a node and an event were left out before this one; None: leave it out, too.
        noted: is told what is noted, beside the log.
    """

    def __init__(
        self,
        record: NodeRecord,
        offer: Surface,
        directory: Directory,
        report: Callable[[Report | Replay], None],
        line: Callable[[str, str], int | None],
        noted: Noted,
        log: Log,
    ) -> None:
        subject = Subject(record.node_id, record.granted)
        self._absence = Absence(subject, frozenset(offer.commands), directory)
        self._report = report
        self._node_id = record.node_id
        self._line = line
        self._noted = noted
        self._log = log.bind(node=record.node_id, away=True)

    def post(self, event: SessionEvent) -> None:
        """Takes what would have gone to the phone."""
        if not isinstance(event, FromGateway):
            return
        for command in self._absence.told(event.event, clock.now()):
            match command:
                case Report() | Replay():
                    self._report(command)
                case Note(event=name, fields=fields):
                    self._log.info(name, **fields, **marks(self._line(self._node_id, name)))
                    self._noted(name, fields)
                case _:
                    raise TypeError(f"nobody is there for {type(command).__name__}")
