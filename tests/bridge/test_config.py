"""The configuration: every key, every refusal, and no secret in a message."""

import re
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from bridge.config import Config, ConfigError, parse_config

# The keys of the file, written out: a key that appears or goes must be meant.
DEFAULTS: dict[str, dict[str, Any]] = {
    "bridge": {"name": "Clawdis"},
    "listen": {"hosts": ("auto",), "node_port": 18790, "app_port": 18794, "allow_public": False},
    "gateway": {
        "url": "ws://127.0.0.1:18789",
        "user": None,
        "token_source": "auto",
        "token_file": None,
        "token_env": "OPENCLAW_GATEWAY_TOKEN",
        "linger_s": 600,
    },
    "auth": {"require_mtls": False},
    "pairing": {
        "always_open": True,
        "prompt": "auto",
        "prompt_timeout_s": 120,
        "ceremonies_per_window": 10,
        "default_profile": "voice+screen",
    },
    "discovery": {"enabled": True},
    "limits": {
        "handshakes_per_minute": 20,
        "pairings_per_minute": 3,
        "calls_per_second": 20,
        "calls_burst": 40,
        "invokes_per_second": 50,
        "invokes_burst": 100,
        "events_per_minute": 300,
        "voice_per_minute": 30,
        "agent_per_minute": 20,
        "snapshots_per_minute": 30,
        "snapshot_max_bytes": 10485760,
        "snapshot_bytes_per_minute": 52428800,
        "eval_max_bytes": 65536,
        "in_flight": 32,
        "in_flight_bytes": 134217728,
        "refusals_per_minute": 20,
        "penalty_s": 60,
        "sockets_per_address": 8,
        "sockets_unauthenticated": 64,
        "frame_max_bytes": 26214400,
    },
    "logging": {"level": "info", "format": "auto"},
}


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, file="bridge.toml")
    return caught.value


def test_an_empty_file_gives_the_defaults() -> None:
    assert parse_config("", file="bridge.toml") == Config()
    assert Config().model_dump() == DEFAULTS


def test_the_defaults_written_out_are_a_valid_file() -> None:
    lines = []
    for table, values in DEFAULTS.items():
        lines.append(f"[{table}]")
        for key, value in values.items():
            if value is not None:
                shown = list(value) if isinstance(value, tuple) else value
                lines.append(f"{key} = {str(shown).lower() if isinstance(value, bool) else repr(shown)}")
    assert parse_config("\n".join(lines), file="bridge.toml") == Config()


EVERY_KEY = """
[bridge]
name = "Anna's Mac"
[listen]
hosts = ["192.0.2.2", "fe80::1%en0"]
node_port = 0
app_port = 65535
allow_public = true
[gateway]
url = "ws://[::1]:18789"
token_source = "file"
token_file = "~/token"
token_env = "TOKEN"
linger_s = 0
user = "root"
[auth]
require_mtls = true
[pairing]
always_open = false
prompt = "terminal"
prompt_timeout_s = 60
ceremonies_per_window = 5
default_profile = "phone"
[discovery]
enabled = false
[limits]
handshakes_per_minute = 7
pairings_per_minute = 8
refusals_per_minute = 1
penalty_s = 2
sockets_per_address = 3
sockets_unauthenticated = 4
frame_max_bytes = 65537
calls_per_second = 5
calls_burst = 6
invokes_per_second = 9
invokes_burst = 10
events_per_minute = 11
voice_per_minute = 12
agent_per_minute = 13
snapshots_per_minute = 14
snapshot_max_bytes = 65538
snapshot_bytes_per_minute = 65539
eval_max_bytes = 15
in_flight = 16
in_flight_bytes = 26214401
[logging]
level = "debug"
format = "json"
"""


def test_every_key_can_be_set() -> None:
    config = parse_config(
        EVERY_KEY,
        file="bridge.toml",
    )
    assert config.listen.hosts == ("192.0.2.2", "fe80::1%en0")
    changed = config.model_dump()
    unchanged = [
        f"{table}.{key}" for table, keys in DEFAULTS.items() for key in keys if changed[table][key] == keys[key]
    ]
    assert unchanged == []


def test_every_key_is_described_by_its_docstring() -> None:
    for name, table in Config.model_fields.items():
        assert table.description, name
        assert isinstance(table.annotation, type)
        assert issubclass(table.annotation, BaseModel)
        for key, field in table.annotation.model_fields.items():
            assert field.description, f"{name}.{key}"
            assert not field.is_required(), f"{name}.{key}"


def test_the_configuration_cannot_be_changed() -> None:
    config = Config()
    with pytest.raises(ValidationError):
        config.listen.app_port = 1  # type: ignore[misc]  # what the test is about


@pytest.mark.parametrize(
    "text, key, advice",
    [
        ("[listen]\nnode_prot = 1", "listen.node_prot", "Did you mean 'node_port'?"),
        ("[limits]\npenalty = 1", "limits.penalty", "Did you mean 'penalty_s'?"),
        ("[listne]\nnode_port = 1", "listne", "Did you mean 'listen'?"),
        ("name = 'x'", "name", "Valid here: bridge, listen, gateway, auth, pairing, discovery, limits, logging."),
        ("[logging]\nzzz = 1", "logging.zzz", "Valid here: level, format."),
        ("[bridge]\nname.first = 'x'", "bridge.name", "Change it, or remove the line to get the default."),
        ("listen = 3", "listen", "Write [listen] on a line of its own, its keys below."),
    ],
)
def test_a_wrong_key_is_named_with_what_to_do(text: str, key: str, advice: str) -> None:
    error = refused(text)
    assert [(each.key, each.mend) for each in error.problems] == [(key, advice)]
    assert str(error).startswith(f"bridge.toml: {key}: ")
    assert str(error).endswith(advice)


@pytest.mark.parametrize(
    "text",
    [
        "[listen]\nnode_port = -1",
        "[listen]\nnode_port = 65536",
        "[listen]\nnode_port = '18790'",
        "[listen]\nnode_port = true",
        "[listen]\nnode_port = 18790.0",
        "[listen]\nnode_port = 18794",
        "[listen]\nnode_port = 7000\napp_port = 7000",
        "[listen]\nhosts = []",
        "[listen]\nhosts = 'auto'",
        "[listen]\nhosts = [1]",
        f"[listen]\nhosts = {['auto'] * 65}",
        "[listen]\nallow_public = 1",
        "[listen]\nallow_public = 'yes'",
        "[bridge]\nname = ''",
        "[bridge]\nname = '   '",
        f"[bridge]\nname = '{'x' * 65}'",
        '[bridge]\nname = "a\\nb"',
        '[bridge]\nname = "a\\u202eb"',
        "[discovery]\nenabled = 'on'",
        "[gateway]\ntoken_source = 'clipboard'",
        "[gateway]\ntoken_source = 'file'",
        "[gateway]\ntoken_file = 'token'",
        "[gateway]\ntoken_env = 'MY-TOKEN'",
        "[gateway]\ntoken_env = ''",
        *(f"[gateway]\nlinger_s = {value}" for value in ("-1", "86401", "1.5")),
        "[pairing]\ndefault_profile = ''",
        "[pairing]\ndefault_profile = 'Voice Screen'",
        "[pairing]\nalways_open = 'yes'",
        "[pairing]\nprompt = 'dialog'",
        "[pairing]\nprompt = true",
        "[pairing]\nprompt_timeout_s = 0",
        "[pairing]\nprompt_timeout_s = 3601",
        "[pairing]\nprompt_timeout_s = 60.0",
        "[pairing]\nceremonies_per_window = 0",
        "[pairing]\nceremonies_per_window = 101",
        "[logging]\nlevel = 'INFO'",
        "[logging]\nformat = 'xml'",
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(text: str) -> None:
    table = re.findall(r"\[(\w+)\]", text)[0]
    problems = refused(text).problems
    assert len(problems) == 1
    assert problems[0].key.startswith(table)
    assert problems[0].why


@pytest.mark.parametrize("limit", sorted(DEFAULTS["limits"]))
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "'1'", "true"])
def test_every_limit_is_a_positive_number(limit: str, value: str) -> None:
    assert refused(f"[limits]\n{limit} = {value}").problems[0].key == f"limits.{limit}"


@pytest.mark.parametrize("limit", sorted(DEFAULTS["limits"]))
def test_no_limit_can_be_set_so_high_that_it_is_none(limit: str) -> None:
    assert refused(f"[limits]\n{limit} = {2**40}").problems[0].key == f"limits.{limit}"


def test_a_minute_of_snapshots_has_room_for_one() -> None:
    (problem,) = refused("[limits]\nsnapshot_bytes_per_minute = 100000\nsnapshot_max_bytes = 100001").problems
    assert (problem.key, "snapshot_max_bytes" in problem.why) == ("limits", True)


@pytest.mark.parametrize("url", ["ws://localhost", "ws://127.0.0.1:1", "ws://[::1]:18789/", "ws://gateway.local:65535"])
def test_a_gateway_url_that_is_taken(url: str) -> None:
    assert parse_config(f"[gateway]\nurl = '{url}'", file="bridge.toml").gateway.url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:18789",
        "wss://127.0.0.1:18789",
        "http://127.0.0.1:18789",
        "ws://",
        "ws://:18789",
        "ws:127.0.0.1:18789",
        "ws://127.0.0.1:0",
        "ws://127.0.0.1:65536",
        "ws://127.0.0.1:http",
        "ws://[::1",
        "ws://127.0.0.1:18789/path",
        "ws://127.0.0.1:18789?token=x",
        "ws://127.0.0.1:18789?",
        "ws://127.0.0.1:18789#x",
    ],
)
def test_a_gateway_url_that_is_refused(url: str) -> None:
    assert refused(f"[gateway]\nurl = '{url}'").problems[0].key == "gateway.url"


@pytest.mark.parametrize(
    "text",
    [
        "[gateway]\nurl = 'ws://user:hunter2@127.0.0.1:18789'",
        "[gateway]\nurl = 'ws://127.0.0.1:18789/?token=hunter2'",
        "[gateway]\ntoken_file = 'hunter2'",
        "[gateway]\ntoken_source = 'hunter2'",
        "[gateway]\ntoken_env = 'hunter-hunter2'",
        "[gateway]\ntoken = 'hunter2'",
        "[limits]\npenalty_s = 'hunter2'",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(text: str) -> None:
    error = refused(text)
    assert "hunter2" not in str(error)
    assert "hunter2" not in repr(error.__cause__)
    assert "hunter2" not in repr(error.__context__)


def test_all_problems_are_told_at_once() -> None:
    error = refused("[listen]\nnode_prot = 1\napp_port = -1\n[logging]\nlevel = 'loud'")
    assert sorted(each.key for each in error.problems) == ["listen.app_port", "listen.node_prot", "logging.level"]
    assert len(str(error).splitlines()) == 3


@pytest.mark.parametrize(
    "text", ["[listen", "a = ", "[listen]\nnode_port = 1\nnode_port = 2", "\0", "a = " + "[" * 9999]
)
def test_what_is_not_toml_is_refused(text: str) -> None:
    error = refused(text)
    assert error.problems[0].key == ""
    assert str(error).startswith("bridge.toml: it is ")


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_a_config_error(text: str) -> None:
    try:
        config = parse_config(text, file="bridge.toml")
    except ConfigError:
        return
    assert set(tomllib.loads(text)) <= set(Config.model_fields)
    assert config.listen.app_port in range(65536)


@given(st.sampled_from(sorted(DEFAULTS)), st.text(alphabet="abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20))
def test_an_unknown_key_is_never_taken_in_silence(table: str, key: str) -> None:
    if key in DEFAULTS[table]:
        return
    assert refused(f"[{table}]\n{key} = 1").problems[0].key == f"{table}.{key}"


@pytest.mark.parametrize(
    "text, key, words",
    [
        ('[listen]\nhosts = "auto"', "listen.hosts", 'it must be a list, in brackets: ["..."]'),
        ("[listen]\nhosts = [1]", "listen.hosts[#1]", "it must be text, in quotes"),
        ('[listen]\napp_port = "18794"', "listen.app_port", "it must be a whole number"),
        ('[discovery]\nenabled = "yes"', "discovery.enabled", "it must be true or false"),
        (
            '[pairing]\ndefault_profile = "Phone!"',
            "pairing.default_profile",
            "characters that such a name does not have",
        ),
    ],
)
def test_a_wrong_type_is_said_in_terms_of_the_file(text: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(text, file="bridge.toml")
    (problem,) = refused.value.problems
    assert problem.key == key
    assert words in problem.why
    for word in ("tuple", "Input", "pattern"):
        assert word not in str(refused.value)
