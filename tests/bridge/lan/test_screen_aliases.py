"""An older app that knows `canvas.*` only, driven through `screen.*`."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any, cast

import pytest

from acl.aliases import STANDS_FOR
from acl.model import Direction, OwnerRule, Policy
from bridge.lan.connect import read_connect
from bridge.lan.entry import enter
from bridge.lan.events import Admitted
from bridge.pairing.records import Surface
from tests.bridge.lan.invokes import GATEWAY, answered, invoked, upstream
from tests.bridge.lan.phones import IPHONE, NODE_TOKEN, PHONE
from tests.bridge.lan.pictures import jpeg
from tests.bridge.lan.playbook import Book, Talk, book, play

CANVAS = ("canvas.present", "canvas.hide", "canvas.navigate", "canvas.eval", "canvas.snapshot")
OLD = replace(IPHONE, commands=(*CANVAS, "device.info"), caps=("canvas", "device"))
ALIASES = {name: "canvas.navigate" if "nav" in name else sorted(others)[0] for name, others in STANDS_FOR.items()}
WITH = Policy(aliases=ALIASES)


def aliased(policy: Policy = WITH) -> Talk:
    """An older app whose surface was approved with the aliases."""
    approved = Surface(commands=tuple(sorted((*OLD.commands, *ALIASES))), caps=tuple(sorted(OLD.caps)))
    record = OLD.record(PHONE, declared=approved)
    talk = play(book(record, policy=policy))
    return talk.receives(OLD.connect(auth={"deviceToken": NODE_TOKEN})).gets(Admitted(record))


def asked(talk: Talk, name: str, params: Any = None, invoke_id: str = "i1") -> Talk:
    return invoked(talk, name, invoke_id, paramsJSON=json.dumps(params))


@pytest.mark.parametrize(
    ("name", "params", "command", "text"),
    [
        ("screen.show", None, "canvas.present", None),
        ("screen.hide", {}, "canvas.hide", None),
        ("screen.navigate", {"url": "https://ok.example"}, "canvas.navigate", '{"url":"https://ok.example/"}'),
        ("screen.eval", {"javaScript": "1"}, "canvas.eval", '{"javaScript":"1"}'),
        ("screen.snapshot", {"format": "jpg"}, "canvas.snapshot", '{"maxWidth":4096,"format":"jpeg"}'),
    ],
)
def test_a_command_is_translated(name: str, params: Any, command: str, text: str | None) -> None:
    payload = asked(aliased(), name, params).payload
    assert (payload["command"], payload.get("paramsJSON")) == (command, text)


def test_results_are_translated_back_and_checked() -> None:
    talk = aliased()
    answered(asked(talk, "screen.navigate", {"url": "https://ok.example"}))
    assert upstream(talk) == {
        "id": "i1",
        "nodeId": GATEWAY,
        "ok": True,
        "payload": {"url": "https://ok.example/", "title": ""},
    }
    picture = {"format": "jpeg", "base64": base64.b64encode(jpeg(7, 8)).decode()}
    answered(asked(talk, "screen.snapshot"), payload=picture)
    assert upstream(talk)["payload"] == {**picture, "width": 7, "height": 8}
    answered(asked(talk, "screen.snapshot", {"maxWidth": 6}), payload=picture)
    assert upstream(talk)["error"]["code"] == "INVALID_RESULT"
    answered(asked(talk, "screen.eval", {"javaScript": "1"}), payloadJSON='{"result":"1"}')
    assert upstream(talk)["payloadJSON"] == '{"result":"1"}'
    answered(asked(talk, "screen.navigate", {"url": "https://ok.example"}), payload={"url": "http://127.0.0.1/"})
    assert upstream(talk)["error"]["code"] == "FORBIDDEN"
    assert asked(talk, "screen.eval", {"javaScript": "1"}).reports[0].error.code == "FORBIDDEN"


def test_the_rules_of_navigation_hold() -> None:
    assert asked(aliased(), "screen.navigate", {"url": "https://127.1/"}).reports[0].error.code == "FORBIDDEN"


def test_a_rule_of_the_owner_about_either_name_holds() -> None:
    """Goes red when `ScreenGuard.admit` decides about the name alone that was asked."""
    for name in ("screen.eval", "canvas.eval"):
        rule = OwnerRule("no-scripts", Direction.TO_NODE, name, None, allow=False)
        talk = asked(aliased(replace(WITH, rules=(rule,))), "screen.eval", {"javaScript": "1"})
        assert talk.reports[0].error.code == "FORBIDDEN"
        assert not talk.sent


def test_an_alias_is_off_by_default_and_part_of_what_a_person_approves() -> None:
    connect, record = read_connect(OLD.params()), OLD.record(PHONE)
    assert enter(connect, record, book(record)).join.wider is None
    wider = enter(connect, record, book(record, policy=WITH)).join
    assert set(wider.offer.commands) == set(OLD.commands)
    assert wider.wider is not None
    assert set(wider.wider.declared.commands) == {*OLD.commands, *ALIASES}


def test_once_approved_it_is_offered_to_the_gateway() -> None:
    approved = Surface(commands=tuple(sorted((*OLD.commands, *ALIASES))), caps=("canvas", "device"))
    record = OLD.record(PHONE, declared=approved)
    joined = enter(read_connect(OLD.params()), record, book(record, policy=WITH)).join
    assert set(joined.offer.commands) == {*OLD.commands, *ALIASES}
    assert joined.wider is None
    without = enter(read_connect(OLD.params()), record, book(record)).join
    assert set(without.offer.commands) == set(OLD.commands)


def test_an_alias_that_the_owner_has_taken_back_is_no_longer_translated() -> None:
    """Goes red without the comparison with the policy in `ScreenGuard.admit`."""
    talk = aliased()
    assert asked(talk, "screen.hide").sent
    cast("Book", talk.session.directory).policy = Policy()
    assert "alias" in asked(talk, "screen.hide", None, "i2").reports[0].error.message


def test_a_new_request_of_a_stranger_holds_the_aliases() -> None:
    smuggled: Any = {"aliases": ALIASES, "_aliases": ALIASES}
    connect = read_connect(OLD.params()).with_aliases(ALIASES)
    assert set(connect.surface().commands) == {*OLD.commands, *ALIASES}
    assert read_connect({**OLD.params(), **smuggled}).aliases == {}
