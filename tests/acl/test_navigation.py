"""Where a screen may be sent: every spelling that a browser reads as something else, and those that are fine."""

from __future__ import annotations

import ada_url
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl.engine import decide
from acl.model import Allow, Call, Deny, Direction, Navigation, Policy, Reason, Subject
from acl.navigation import FAULT_WORDS, MAX_URL_CHARS, Fault, Target, check, host_of, host_pattern, is_private
from acl.permissions import Permission
from tests.acl.addresses import CANVAS, CONTROLS, DISGUISED, ELSEWHERE, PRIVATE, PUBLIC, SCHEMES

ANY, LISTED = Navigation(), Navigation(hosts=("ok.example",))
OPEN = Navigation(allow_http=True, allow_private=True)
BELOW = Navigation(hosts=("*.example.com",))
SCREEN = Subject("n1", frozenset({Permission.SCREEN}))

# Pieces that addresses are made of, so that random ones come near to what is allowed.
PIECES = st.sampled_from(
    [
        *(
            "https",
            "http",
            "canvas",
            "javascript",
            "HTTPS",
            ":",
            "//",
            "/",
            "\\",
            "@",
            "#",
            "?",
            "%40",
            "%2e",
            "..",
            ".",
        ),
        *(
            "ok.example",
            "OK.EXAMPLE",
            "evil.example",
            "\u043ek.example",
            "xn--k-6ya",
            "a",
            "127.1",
            "0x7f",
            "[::1]",
            "[",
        ),
        *("]", ":0", ":22", ":443", ":8443", "localhost", ".local", " ", "\t", "\u3002", "\u00ad", "1.1.1.1", "main"),
    ]
)
ADDRESSES = st.one_of(
    st.lists(PIECES, max_size=9).map("".join),
    st.lists(PIECES, max_size=6).map(lambda parts: "https://" + "".join(parts)),
    st.text(max_size=40).map(lambda text: "https://" + text),
    st.text(max_size=60),
)
NAVIGATIONS = st.builds(
    Navigation,
    allow_http=st.booleans(),
    allow_private=st.booleans(),
    hosts=st.sampled_from([(), ("ok.example",), ("*.example",), ("127.0.0.1", "[::1]"), ("localhost", "1.1.1.1")]),
)


@pytest.mark.parametrize("url", PUBLIC)
def test_what_is_listed_passes_in_the_spelling_of_a_browser(url: str) -> None:
    target = check(url, LISTED)
    assert isinstance(target, Target)
    assert target.host in {"ok.example", "main"}
    assert target.url == ada_url.URL(url).href


@pytest.mark.parametrize("url", [*ELSEWHERE, "https://notok.example/", "https://ok.example.evil.example/"])
def test_without_a_list_any_public_host_passes_and_with_one_only_its_own(url: str) -> None:
    assert isinstance(check(url, ANY), Target)
    assert check(url, LISTED) is Fault.UNLISTED


@pytest.mark.parametrize("url", SCHEMES)
def test_other_schemes_are_refused_whatever_is_allowed(url: str) -> None:
    assert isinstance(check(url, LISTED), Fault)
    assert url == "http://ok.example/" or isinstance(check(url, OPEN), Fault)


@pytest.mark.parametrize("url", CONTROLS)
def test_what_a_parser_would_strip_is_refused_before_it_can(url: str) -> None:
    assert check(url, LISTED) is Fault.CHARACTERS
    assert check(url, OPEN) is Fault.CHARACTERS


@pytest.mark.parametrize("url", DISGUISED)
def test_a_disguise_of_a_listed_host_is_refused(url: str) -> None:
    assert isinstance(check(url, LISTED), Fault)


@pytest.mark.parametrize("url", PRIVATE)
def test_the_local_network_is_refused_in_every_spelling(url: str) -> None:
    assert isinstance(check(url, ANY), Fault)


@pytest.mark.parametrize(
    "url", [url for url in PRIVATE if not url.rstrip("/").endswith(".") and "%" not in url and "127.0.0.1." not in url]
)
def test_and_passes_when_the_owner_says_so(url: str) -> None:
    assert isinstance(check(url, OPEN), Target)


@pytest.mark.parametrize("url", ["https://localhost./", "https://printer.local./", "https://[fe80::1%25en0]/"])
def test_a_dot_at_the_end_and_a_zone_never_pass(url: str) -> None:
    assert isinstance(check(url, OPEN), Fault)


@pytest.mark.parametrize("url", CANVAS)
def test_nothing_leads_out_of_a_canvas(url: str) -> None:
    assert isinstance(check(url, OPEN), Fault)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", Fault.LENGTH),
        ("https://ok.example/" + "x" * MAX_URL_CHARS, Fault.LENGTH),
        ("https://ok.example/" + "\u00e9" * 3_000, Fault.LENGTH),
        ("canvas://main/" + "\u00e9" * 3_000, Fault.LENGTH),
        ("javascript:1", Fault.SCHEME),
        ("http://ok.example/", Fault.SCHEME),
        ("https://ok.example%40evil.example/", Fault.FORM),
        ("https://ok.example\\evil.example/", Fault.FORM),
        ("https://ok.example/a\\b", Fault.FORM),
        ("https://a@ok.example/", Fault.USERINFO),
        ("https://ok.ex\u0430mple/", Fault.HOST),
        ("https://ok.example./", Fault.HOST),
        ("https://" + ("a" * 60 + ".") * 4 + "ok.example/", Fault.HOST),
        ("https://evil.example:22/", Fault.PORT),
        ("https://127.1/", Fault.PRIVATE),
        ("canvas://main/..", Fault.CANVAS),
    ],
)
def test_each_fault_says_what_it_is_about_and_nothing_of_the_address(url: str, fault: Fault) -> None:
    assert check(url, ANY) is fault
    assert "ok.example" not in FAULT_WORDS[fault]


@pytest.mark.parametrize("label", ["xn--a", "xn--k", "xn--a-ugn", "xn---u1d"])
def test_an_a_label_that_means_nothing_or_has_another_spelling_is_refused(label: str) -> None:
    """Red without the comparison with its own meaning in `_is_readable`: a browser's reading lets each of them pass."""
    assert ada_url.URL(f"https://{label}.example/").hostname == f"{label}.example"
    assert check(f"https://{label}.example/", OPEN) is Fault.HOST
    assert isinstance(check("https://xn--u1d.example/", ANY), Target)


def test_the_longest_address_passes_and_is_the_longest_that_is_handed_on() -> None:
    """Red when the length is asked of what came alone: what a browser escapes would be refused as it comes back."""
    longest = "https://ok.example/".ljust(MAX_URL_CHARS, "x")
    assert check(longest, ANY) == Target(longest, "ok.example")
    assert isinstance(check("https://ok.example/" + "\u00e9" * 2_000, ANY), Target)


def test_http_passes_when_the_owner_says_so() -> None:
    assert isinstance(check("http://ok.example/", Navigation(allow_http=True)), Target)
    assert check("http://127.0.0.1/", Navigation(allow_http=True)) is Fault.PRIVATE


@pytest.mark.parametrize("port", [1, 22, 25, 79, 444, 1023])
def test_a_port_of_another_service_is_for_hosts_that_are_listed_exactly(port: int) -> None:
    url = f"https://a.ok.example:{port}/"
    assert check(url, ANY) is Fault.PORT
    assert check(url, Navigation(hosts=("*.ok.example",))) is Fault.PORT
    assert isinstance(check(url, Navigation(hosts=("a.ok.example",))), Target)


@pytest.mark.parametrize("port", [80, 443, 1024, 65535])
def test_a_port_of_the_web_is_for_all(port: int) -> None:
    assert isinstance(check(f"https://a.ok.example:{port}/", ANY), Target)


@pytest.mark.parametrize(
    ("host", "passes"), [("a.example.com", True), ("a.b.example.com", True), ("example.com", False)]
)
def test_a_pattern_means_the_names_below_and_not_the_name_itself(host: str, passes: bool) -> None:
    assert isinstance(check(f"https://{host}/", BELOW), Target) is passes
    assert check("https://notexample.com/", BELOW) is Fault.UNLISTED
    assert check("https://a.example.com.evil.example/", BELOW) is Fault.UNLISTED


@pytest.mark.parametrize(
    "pattern", ["ok.example", "*.example.com", "xn--mnchen-3ya.example", "1.1.1.1", "[::1]", "localhost"]
)
def test_a_host_in_its_one_spelling_is_a_pattern(pattern: str) -> None:
    assert host_pattern(pattern) == pattern


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "",
            "*",
            "*.",
            "*.*.x",
            "OK.example",
            "m\u00fcnchen.example",
            "127.1",
            "[0::1]",
            "*.1.1.1.1",
            "ok.example:80",
        ),
        *("ok.example.", "u@ok.example", "ok.example/x", "a b", "https://ok.example", "*ok.example", "ok.*"),
    ],
)
def test_what_could_match_nothing_or_something_else_is_no_pattern(pattern: str) -> None:
    assert host_pattern(pattern) != pattern


@pytest.mark.parametrize(
    ("written", "pattern"),
    [
        ("stra\u00dfe.example", "xn--strae-oqa.example"),
        ("*.M\u00fcnchen.example", "*.xn--mnchen-3ya.example"),
        ("OK.example", "ok.example"),
        ("127.1", "127.0.0.1"),
        ("*.127.1", None),
        ("ok.ex\u0430mple", None),
        ("ok.example.", None),
    ],
)
def test_a_pattern_is_spelled_as_browsers_spell_the_addresses(written: str, pattern: str | None) -> None:
    """Red when names are spelled by another standard: by the older one, the first of them is somebody else's name."""
    assert host_pattern(written) == pattern


@given(url=ADDRESSES, navigation=NAVIGATIONS)
def test_what_passes_is_what_the_rules_say_and_passes_again(url: str, navigation: Navigation) -> None:
    """Goes red without `_listed`, without the private rule, and when the address is handed on as it was written."""
    target = check(url, navigation)
    if isinstance(target, Fault):
        return
    read = ada_url.URL(target.url)
    assert (read.username, read.password) == ("", "")
    assert read.protocol in {"https:", "canvas:", *(["http:"] if navigation.allow_http else [])}
    if read.protocol != "canvas:":
        assert read.hostname == target.host
        assert navigation.allow_private or not is_private(read.hostname)
        assert not navigation.hosts or any(
            read.hostname == one or (one.startswith("*.") and read.hostname.endswith(one[1:]))
            for one in navigation.hosts
        )
    assert check(target.url, navigation) == target


@given(url=st.text(max_size=200))
def test_any_text_gets_a_decision_and_a_host_without_its_path(url: str) -> None:
    check(url, OPEN)
    assert not set(host_of(url)) & set("/?#@\\ ")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://user:pw@Evil.example:1/secret?token=x#y", "evil.example"),
        ("http://127.1/", "127.0.0.1"),
        ("javascript:secret", ""),
        ("data://secret/", ""),
        ("no address", ""),
        ("https://evil.example/\n", ""),
        ("https://evil.example/" + "x" * MAX_URL_CHARS, ""),
    ],
)
def test_a_trace_gets_the_host_and_nothing_else(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize("command", ["screen.navigate", "canvas.navigate", "canvas.present"])
def test_the_engine_asks_the_rules(command: str) -> None:
    """Goes red without the two lines about `call.url` in `acl.engine._narrowed`."""
    good, bad = (Call(Direction.TO_NODE, command, url=url) for url in ("https://ok.example/", "https://127.1/"))
    assert decide(Policy(), SCREEN, good) == Allow("command-screen", good)
    assert decide(Policy(), SCREEN, bad) == Deny("command-screen", Reason.NAVIGATION)
    assert isinstance(decide(Policy(navigation=OPEN), SCREEN, bad), Allow)
    assert isinstance(decide(Policy(), Subject("n1", frozenset()), good), Deny)
    assert "127" not in repr(bad)
