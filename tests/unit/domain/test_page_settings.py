"""What an operator says on the pages."""

from __future__ import annotations

import pytest

from perijove.domain.failures import Fail
from perijove.domain.page_settings import PageSettings, faults
from perijove.domain.settings_layers import Layer, merged


def test_the_foot_leads_where_the_operator_says() -> None:
    page = PageSettings(help="https://x.test/help", contact="help@x.test")
    assert page.links == {"Help": "https://x.test/help", "Contact": "mailto:help@x.test"}
    assert list(faults(page)) == []
    assert list(faults(PageSettings(privacy="/privacy", contact="mailto:a@b"))) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("help", "javascript:alert(1)"), ("privacy", "a@b.test"), ("contact", "ask Tim"), ("help", 'https://x/"onclick')],
)
def test_what_is_no_address_is_refused_by_its_setting(name: str, value: str) -> None:
    with pytest.raises(Fail, match=f"page.{name} must be an address"):
        merged([Layer("perijove.toml", {f"page.{name}": value})])
