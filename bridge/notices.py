"""Between the desk and whoever tells a person something: what was decided without asking is said."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.log import Log
from bridge.pairing.approvers.notice import Notifier, words_for
from bridge.pairing.reception import DeskChange, PairedByCode
from bridge.tasks import Tasks

MAX_TELLING = 8  # notices under way; each is a process for a moment, and a person reads no more


class Notices:
    """See the module's text.

    Args:
        notifiers: who is told.
    """

    def __init__(self, notifiers: Sequence[Notifier], tasks: Tasks, log: Log) -> None:
        self._notifiers = tuple(notifiers)
        self._tasks = tasks
        self._log = log
        self._under_way = 0

    def on_desk(self, change: DeskChange) -> None:
        """Tells of a device that a code let in; the log has it in any case."""
        if not isinstance(change, PairedByCode) or self._under_way >= MAX_TELLING:
            return
        for notifier in self._notifiers:
            self._under_way += 1
            self._tasks.spawn("notice", self._tell(notifier, words_for(change.record)))

    async def _tell(self, notifier: Notifier, text: str) -> None:
        try:
            await notifier.tell(text)
        except (OSError, TimeoutError) as exc:
            self._log.warning("notice-failed", error=str(exc))
        finally:
            self._under_way -= 1
