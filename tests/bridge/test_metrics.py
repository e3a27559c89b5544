"""What is measured, as Prometheus reads it; and that no peer can make more of it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from bridge.metrics import Levels, Metrics


def read(metrics: Metrics) -> dict[str, float]:
    """Return every sample by name and labels."""
    return {
        sample.name.removeprefix("clawdis_bridge_")
        + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.text())
        for sample in family.samples
    }


def test_levels_are_asked_at_every_reading() -> None:
    metrics, levels = (
        Metrics(),
        [Levels(), Levels(2, "connected", {"ready": 2}, 9, 3, 6, 70_000, 1, 4096, {"method": 5}, {"calls": 7}, 12)],
    )
    metrics.watch(lambda: levels[0])
    assert read(metrics)["gateway down"] == 1
    levels.pop(0)
    now = read(metrics)
    assert (now["gateway connected"], now["gateway down"], now["links ready"], now["links failed"]) == (1, 0, 2, 0)
    assert [now[name] for name in ("nodes_connected", "calls_unanswered", "calls_waiting", "calls_in_flight")] == [
        2,
        9,
        3,
        6,
    ]
    assert [now[name] for name in ("bytes_in_flight", "sockets_held", "bytes_buffered")] == [70_000, 1, 4096]

    assert (now["refused_total method"], now["limited_total calls"], now["audit_lines"]) == (5, 7, 12)


def test_what_sessions_note_is_counted() -> None:
    metrics = Metrics()
    metrics.note("invoke", {"command": "screen.show", "ok": True, "ms": 300})
    metrics.note("invoke", {"command": "screen.show", "ok": False})
    metrics.note("invoke-refused", {"command": "system.run", "code": "FORBIDDEN"})
    metrics.note("invoke-ended", {"command": "camera.snap", "code": "TIMEOUT"})
    metrics.note("invoke-replayed", {"command": "camera.snap"})
    metrics.note("invokes-lost", {"count": 3})
    metrics.note("late-result", {})
    metrics.note("connect-refused", {"code": "NOT_PAIRED"})
    metrics.note("something-else", {"what": "x"})
    metrics.call("chat.send", "ok")
    metrics.handshake("turned-away")
    now = read(metrics)
    assert now["invokes_total screen ok"] == now["invokes_total screen failed"] == 1
    assert now["invokes_total system FORBIDDEN"] == 1
    assert now["invokes_total camera TIMEOUT"] == now["invokes_total camera replayed"] == 1
    assert now["invokes_total other lost"] == 3
    assert now["invoke_seconds_bucket screen 0.25"] == 0
    assert now["invoke_seconds_bucket screen 0.5"] == now["invoke_seconds_count screen"] == 1
    assert now["dropped_total late-result"] == 1
    assert now["connects_refused_total NOT_PAIRED"] == 1
    assert now["calls_total chat.send ok"] == 1
    assert (now["handshakes_total turned-away"], now["handshakes_total made"]) == (1, 0)


def test_a_peer_makes_no_series() -> None:
    """Red when a label is what a peer wrote."""
    metrics = Metrics()
    sizes = []
    for number in range(3_000):
        word = f"planted{number}"
        metrics.note("invoke", {"command": word, "ok": True, "ms": 1})
        metrics.note("invoke", {"command": f"screen.{word}", "ok": word})
        metrics.note("invoke-refused", {"command": word, "code": word})
        metrics.note(word, {"what": word})
        metrics.note("connect-refused", {"code": word})
        metrics.note("invokes-lost", {"count": word})
        metrics.call(word, "ok")
        sizes.append(len(read(metrics)) if number in {0, 2_999} else 0)
    assert sizes[0] == sizes[-1]
    assert "planted" not in metrics.text()
