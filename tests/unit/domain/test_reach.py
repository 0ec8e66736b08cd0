"""Which network addresses may be fetched from."""

from __future__ import annotations

import pytest

from perijove.domain.reach import why_not


@pytest.mark.parametrize(
    "address", ["140.82.121.3", "8.8.8.8", "2606:50c0:8000::154", "64:ff9b::8c52:7903", "::ffff:8.8.8.8"]
)
def test_a_public_address_may_be_fetched_from(address: str) -> None:
    assert why_not(address) == ""


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("127.8.9.1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "private or reserved"),
        ("10.0.0.1", "private or reserved"),
        ("172.31.0.1", "private or reserved"),
        ("192.168.1.1", "private or reserved"),
        ("169.254.169.254", "link-local"),
        ("100.64.0.1", "private or reserved"),
        ("192.0.0.8", "private or reserved"),
        ("198.18.0.1", "private or reserved"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "private or reserved"),
        ("192.88.99.1", "private or reserved"),
        ("::1", "loopback"),
        ("::", "unspecified"),
        ("fe80::1", "link-local"),
        ("fc00::1", "private or reserved"),
        ("fec0::1", "private or reserved"),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "private or reserved"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private or reserved"),
        ("::ffff:0:10.0.0.1", "private or reserved"),
        ("::10.0.0.1", "private or reserved"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("64:ff9b:1::1", "an address of a translator"),
        ("2002:7f00:1::", "loopback"),
        ("2002:c0a8:101::1", "private or reserved"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "an address of a translator"),
        ("fe80::1%eth0", "link-local"),
        ("localhost", "not an IP address"),
        ("", "not an IP address"),
    ],
)
def test_an_address_that_is_not_public_is_refused_in_any_notation(address: str, why: str) -> None:
    assert why_not(address) == why
