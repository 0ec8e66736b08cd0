"""Which addresses a sandbox may connect to."""

from __future__ import annotations

import pytest

from perijove.backends.pad.egress_rule import Rule, judge, judge_name
from perijove.domain.reach import Address, links

PUBLIC = Rule(public=True, allowed=())
OWN = "8.8.4.4"


def near(address: Address) -> bool:
    return str(address) == OWN


@pytest.mark.parametrize(
    ("address", "port", "allowed"),
    [
        ("8.8.8.8", 443, True),
        ("8.8.8.8", 80, True),
        ("2606:4700::1111", 443, True),
        ("8.8.8.8", 22, False),
        ("8.8.8.8", 8443, False),
        (OWN, 443, False),
        ("127.0.0.1", 80, False),
        ("0.0.0.0", 80, False),
        ("10.1.2.3", 443, False),
        ("172.16.0.1", 443, False),
        ("192.168.1.1", 443, False),
        ("100.64.0.1", 443, False),
        ("169.254.169.254", 80, False),
        ("192.0.2.7", 443, False),
        ("198.18.0.1", 443, False),
        ("224.0.0.1", 80, False),
        ("240.0.0.1", 80, False),
        ("255.255.255.255", 80, False),
        ("::", 80, False),
        ("::1", 80, False),
        ("::127.0.0.1", 80, False),
        ("::ffff:10.0.0.1", 443, False),
        ("::ffff:8.8.8.8", 443, True),
        (f"::ffff:{OWN}", 443, False),
        ("64:ff9b::8.8.8.8", 443, True),
        ("64:ff9b::a00:1", 443, False),
        ("2002:a00:1::1", 443, False),
        ("2002:808:808::1", 443, True),
        ("2001:0:808:808::1", 443, False),
        ("fe80::1%eth0", 443, False),
        ("fc00::1", 443, False),
        ("fd00:ec2::254", 80, False),
        ("ff02::1", 80, False),
        ("2001:db8::1", 443, False),
    ],
)
def test_public_means_web_ports_of_global_addresses(address: str, port: int, allowed: bool) -> None:
    use, reason = judge("host.example", port, [address], PUBLIC, near)
    assert (use is not None) == allowed
    assert bool(reason) != allowed


@pytest.mark.parametrize(
    ("entry", "host", "address", "port", "allowed"),
    [
        ("mirror.lan:3141", "mirror.lan", "10.0.0.5", 3141, True),
        ("mirror.lan:3141", "MIRROR.lan.", "10.0.0.5", 3141, True),
        ("mirror.lan:3141", "mirror.lan", "10.0.0.5", 80, False),
        ("mirror.lan:3141", "evil.mirror.lan", "10.0.0.5", 3141, False),
        ("10.0.0.0/24:443", "x", "10.0.0.7", 443, True),
        ("10.0.0.0/24:443", "x", "10.0.1.7", 443, False),
        ("10.0.0.7:443", "x", "10.0.0.7", 443, True),
        ("[fd00::/8]:443", "x", "fd00::7", 443, True),
        ("fd00::/8:443", "x", "fd00::7", 443, True),
        ("10.0.0.0/24:443", "x", "::ffff:10.0.0.7", 443, True),
        ("nonsense", "nonsense", "10.0.0.7", 443, False),
    ],
)
def test_what_the_operator_allows_overrides(entry: str, host: str, address: str, port: int, allowed: bool) -> None:
    for public in (True, False):
        use, _ = judge(host, port, [address], Rule(public, (entry,)), near)
        assert (use == address) == allowed


def test_the_address_judged_is_the_address_used() -> None:
    assert judge("two.example", 443, ["10.0.0.1", "8.8.8.8"], PUBLIC, near) == ("8.8.8.8", "")


def test_without_the_public_web_only_the_list_counts() -> None:
    use, reason = judge("x", 443, ["8.8.8.8"], Rule(False, ()), near)
    assert use is None
    assert "operator allows" in reason


def test_a_name_without_addresses_is_refused() -> None:
    assert judge("x", 443, [], PUBLIC, near)[0] is None


def test_networks_without_a_gateway_are_read_from_the_kernels_tables() -> None:
    fourth = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    zeros = "0" * 32
    sixth = (
        f"{zeros} 00 {zeros} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00450003 eth0\n"
        f"20010db8000000000000000000000000 40 {zeros} 00 {zeros} 00000100 00000001 00000000 00000001 eth0\n"
        f"{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200 lo\n"
    )
    assert [str(network) for network in links(fourth, sixth)] == ["192.0.2.0/24", "2001:db8::/64"]


BY_NAME = [
    ("pypi.org", 443, True), ("files.PythonHosted.org.", 80, True), ("xn--bcher-kva.example", 443, True),
    ("pypi.org", 22, False), ("localhost", 443, False), ("mirror", 443, False), ("db.internal", 443, False),
    ("printer.local", 80, False), ("1.0.0.10.in-addr.arpa", 80, False), ("10.0.0.1", 80, False), ("127.1", 80, False),
    ("0x7f.1", 80, False), ("[::1]", 80, False), ("a..b", 80, False), ("b\u00fccher.example", 80, False),
    ("a.example\r\nX: y", 80, False), ("x" * 260 + ".example", 80, False), ("", 80, False),
]  # fmt: skip


@pytest.mark.parametrize(("host", "port", "goes"), BY_NAME)
def test_a_name_that_the_operator_s_proxy_alone_knows_is_judged_by_itself(host: str, port: int, goes: bool) -> None:
    assert (judge_name(host, port, Rule(public=True, allowed=())) == "") is goes
    assert judge_name(host, port, Rule(public=False, allowed=()))
    assert judge_name("mirror", 8080, Rule(public=False, allowed=("mirror:8080",))) == ""
