"""What a setup code says: where the bridge is, and what it grants."""

from __future__ import annotations

import pytest

from acl.permissions import PROFILES, Permission, UnknownPermissionError
from bridge.errors import NotAllowed, UsageError
from bridge.invitations import SETUP_PROFILE, granted, url_for

LAN = ["127.0.0.1", "::1", "192.168.1.20", "fe80::1%en0", "fd00::20"]
HOST = "clawdis-bridge-0a1b2c3d.local"


class TestGranted:
    def test_nothing_said_is_the_profile_of_setup_codes(self) -> None:
        assert granted(None, None, PROFILES) == PROFILES[SETUP_PROFILE] == PROFILES["phone"]

    @pytest.mark.parametrize("name", PROFILES)
    def test_a_profile_by_name(self, name: str) -> None:
        assert granted(None, name, PROFILES) == PROFILES[name]

    def test_a_profile_of_the_owner_is_one_like_the_others(self) -> None:
        profiles = {**PROFILES, "kiosk": frozenset({Permission.SCREEN})}
        assert granted(None, "kiosk", profiles) == {Permission.SCREEN}
        with pytest.raises(UsageError) as caught:
            granted(None, "kiosc", profiles)
        assert str(caught.value.fix).endswith("full, kiosk")

    def test_a_list_goes_before_a_profile_and_an_empty_one_grants_nothing(self) -> None:
        assert granted(["screen"], "full", PROFILES) == {Permission.SCREEN}
        assert granted([], "full", PROFILES) == frozenset()

    @pytest.mark.parametrize("name", ["", "Phone", "all", "companion"])
    def test_an_unknown_profile_is_a_fault_of_usage_that_lists_them(self, name: str) -> None:
        with pytest.raises(UsageError) as caught:
            granted(None, name, PROFILES)
        assert "voice+screen" in str(caught.value.fix)

    def test_an_unknown_permission_is_refused(self) -> None:
        with pytest.raises(UnknownPermissionError, match="root"):
            granted(["screen", "root"], None, PROFILES)

    def test_system_is_in_no_profile(self) -> None:
        assert not any(Permission.SYSTEM in permissions for permissions in PROFILES.values())


class TestUrl:
    def test_the_name_when_it_can_be_found_there(self) -> None:
        assert url_for(LAN, 18794, HOST, None) == f"wss://{HOST}:18794"

    def test_else_the_address_that_another_device_reaches(self) -> None:
        assert url_for(LAN, 18794, None, None) == "wss://192.168.1.20:18794"
        assert url_for(["127.0.0.1", "fd00::20", "169.254.1.1"], 18794, None, None) == "wss://[fd00::20]:18794"
        assert url_for(["::1", "127.0.0.1"], 18794, None, None) == "wss://127.0.0.1:18794"

    def test_a_private_address_goes_before_a_public_one(self) -> None:
        addresses = ["8.8.4.4", "2606:4700::20", "fd00::20", "192.168.1.20", "127.0.0.1"]
        assert url_for(addresses, 18794, None, None) == "wss://192.168.1.20:18794"
        assert url_for(addresses[:3], 18794, None, None) == "wss://[fd00::20]:18794"
        assert url_for(addresses[:2], 18794, None, None) == "wss://8.8.4.4:18794"

    @pytest.mark.parametrize("address", ["192.168.1.20", "127.0.0.1"])
    def test_an_address_that_was_asked_for_goes_before_the_name(self, address: str) -> None:
        assert url_for(LAN, 18794, HOST, address) == f"wss://{address}:18794"

    @pytest.mark.parametrize("address", ["10.0.0.1", "fe80::1%en0", "fe80::1", "evil.example", ""])
    def test_only_an_address_that_is_listened_on_and_can_stand_in_a_url(self, address: str) -> None:
        with pytest.raises(NotAllowed, match="does not listen"):
            url_for(LAN, 18794, HOST, address)

    @pytest.mark.parametrize("addresses", [[], ["fe80::1%en0"]])
    def test_no_address_at_all_is_said(self, addresses: list[str]) -> None:
        with pytest.raises(NotAllowed, match="no address"):
            url_for(addresses, 18794, None, None)

    def test_a_port_that_cannot_stand_in_a_code_is_said(self) -> None:
        with pytest.raises(NotAllowed, match="443") as caught:
            url_for(LAN, 443, HOST, None)
        assert "listen.app_port" in str(caught.value.fix)
