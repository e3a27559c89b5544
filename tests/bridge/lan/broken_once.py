"""Frames that once broke something, each with what it broke; played before every fuzz run."""

from __future__ import annotations

BROKEN_ONCE: dict[str, bytes] = {
    "a BOM made two readers disagree": b'\xef\xbb\xbf{"type":"req","id":"1","method":"voicewake.get","params":{}}',
    "a lone surrogate was read and could not be written": (
        b'{"type":"req","id":"1","method":"node.event","params":{"event":"voice.transcript","payload":{"text":"\\ud800"}}}'
    ),
    "a method by another spelling of its name": b'{"type":"req","id":"1","method":"health","\\u006dethod":"agent"}',
    "deep inside a string that is JSON": (
        b'{"type":"req","id":"1","method":"node.event","params":{"event":"agent.request","payloadJSON":"%b"}}'
        % (b"[" * 5_000)
    ),
    "a number that is none": b'{"type":"req","id":"1","method":"agent.wait","params":{"runId":"r","timeoutMs":1e999}}',
    "a thousand names of one object": b'{"type":"req","id":"1","method":"health","params":{%b}}'
    % b",".join(b'"%d":1' % (number % 999) for number in range(1_000)),
}
