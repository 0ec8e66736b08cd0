"""Which names the embedded CA may sign for, and that nobody else's are among them."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from cryptography import x509

from perijove.certifying.local_names import constraints, only_local, permits


@pytest.mark.parametrize(
    ("host", "permitted"),
    [
        ("localhost", True), ("wiki.localhost", True), ("*.localhost", True), ("LOCALHOST", True),
        ("pve.local", True), ("binder.internal", True), ("nas.home.arpa", True), ("a.b.test", True),
        ("127.0.0.1", True), ("127.200.0.1", True), ("::1", True), ("10.1.2.3", True), ("192.168.0.9", True),
        ("172.31.255.255", True), ("169.254.1.1", True), ("100.64.0.1", True), ("fd00::1", True), ("fe80::1", True),
        ("jupiter.example.org", True), ("x.jupiter.example.org", True),
        ("example.org", False), ("notlocalhost", False), ("localhost.example.com", False), ("arpa", False),
        ("xjupiter.example.org", False), ("8.8.8.8", False), ("172.32.0.1", False), ("2001:db8::1", False),
        ("wiki", False),
    ],
)  # fmt: skip
def test_what_a_root_may_sign_for(host: str, permitted: bool) -> None:
    assert permits(constraints("jupiter.example.org"), host) is permitted


@pytest.mark.parametrize("machine", ["dev", "cloud", "xn--p1ai", "", "a_b", "*", "-x"])
def test_a_machine_s_name_that_may_be_a_top_level_domain_is_left_out(machine: str) -> None:
    assert not permits(constraints(machine), f"www.{machine}")
    assert not permits(constraints(machine), machine)


@pytest.mark.parametrize("machine", ["pve1", "my-laptop", "jupiter.example.org", "Jupiter.Example.ORG."])
def test_a_machine_s_own_name_is_held(machine: str) -> None:
    assert permits(constraints(machine), machine.lower().rstrip("."))


def of(*permitted: str) -> x509.NameConstraints:
    """Constraints that permit these names and networks."""
    made: list[x509.GeneralName] = [
        x509.IPAddress(ip_network(one)) if "/" in one else x509.DNSName(one) for one in permitted
    ]
    return x509.NameConstraints(made, None)


@pytest.mark.parametrize(
    ("held", "local"),
    [
        pytest.param(constraints("pve1"), True, id="as we make them"),
        pytest.param(of("localhost", "127.0.0.1/32"), True, id="fewer"),
        pytest.param(constraints("other.example.org"), False, id="another machine's"),
        pytest.param(of("localhost", "org", "127.0.0.0/8"), False, id="a public name beside"),
        pytest.param(of("localhost", "0.0.0.0/0"), False, id="all addresses"),
        pytest.param(of("localhost"), False, id="addresses not confined"),
        pytest.param(of("127.0.0.0/8"), False, id="names not confined"),
        pytest.param(of("localhost", "", "127.0.0.0/8"), False, id="an empty name, which holds all"),
        pytest.param(x509.NameConstraints(None, [x509.DNSName("org")]), False, id="only excluding"),
    ],
)
def test_constraints_that_hold_local_names_alone_are_told_from_others(held: x509.NameConstraints, local: bool) -> None:
    assert only_local(held, "pve1") is local
