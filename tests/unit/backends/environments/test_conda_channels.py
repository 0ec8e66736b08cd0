"""Which channels a file means under the operator's rules."""

from __future__ import annotations

import pytest

from perijove.backends.environments.conda.channels import CONDA_FORGE, HOME, meant, mirrors
from perijove.domain.conda_failures import CHANNEL_REFUSED
from perijove.domain.conda_settings import AnacondaChannels, CondaSettings
from perijove.domain.failures import Fail

MAIN, R = "https://repo.anaconda.com/pkgs/main/", "https://repo.anaconda.com/pkgs/r/"
BIO = f"{HOME}bioconda/"


@pytest.mark.parametrize(
    ("written", "defaults", "channels"),
    [
        ((), "conda-forge", (CONDA_FORGE,)),
        (("nodefaults",), "refuse", (CONDA_FORGE,)),
        (("conda-forge", "nodefaults"), "refuse", (CONDA_FORGE,)),
        (("bioconda", "conda-forge"), "refuse", (BIO, CONDA_FORGE)),
        (("conda-forge", "defaults"), "conda-forge", (CONDA_FORGE,)),
        (("bioconda", "defaults"), "conda-forge", (BIO, CONDA_FORGE)),
        (("defaults",), "anaconda", (MAIN, R)),
        (("https://repo.anaconda.com/pkgs/main",), "conda-forge", (CONDA_FORGE,)),
        (("https://conda.anaconda.org/anaconda/",), "conda-forge", (CONDA_FORGE,)),
        (("anaconda",), "anaconda", (f"{HOME}anaconda/",)),
        (("https://conda.anaconda.org/conda-forge",), "refuse", (CONDA_FORGE,)),
        (("conda-forge/label/broken",), "refuse", (f"{CONDA_FORGE}label/broken/",)),
    ],
)
def test_channels_keep_their_order_and_anacondas_are_the_operators_choice(
    written: tuple[str, ...], defaults: str, channels: tuple[str, ...]
) -> None:
    settings = CondaSettings(defaults=AnacondaChannels(defaults))
    found = meant("environment.yml", written, (), settings)
    assert found.channels == channels
    assert bool(found.notes) == (defaults != "refuse" and written not in {(), ("conda-forge", "nodefaults")}
                                 and channels != (f"{HOME}anaconda/",))  # fmt: skip


def test_a_channel_that_a_package_names_is_one_of_the_channels_and_comes_last() -> None:
    found = meant("environment.yml", ("bioconda",), ("x", "conda-forge::y=1", "defaults::z"), CondaSettings())
    assert found.channels == (BIO, CONDA_FORGE)
    assert found.specs == ("x", "conda-forge::y=1", "conda-forge::z")


@pytest.mark.parametrize(
    "name", ["file:///etc", "/etc", "./x", "https://evil.example/x", "http://[::1]/x", "https://u:p@prefix.dev/x",
             "https://conda.anaconda.org/t/tk-1/x", "http://conda.anaconda.org:8080/x", "http://[", "defaults"],
)  # fmt: skip
def test_others_are_refused_by_name(name: str) -> None:
    with pytest.raises(Fail) as caught:
        meant("environment.yml", (name,), (), CondaSettings(defaults=AnacondaChannels.REFUSE))
    assert caught.value.failure.kind is CHANNEL_REFUSED
    assert "u:p" not in caught.value.failure.cause
    assert "tk-1" not in caught.value.failure.cause


def test_a_mirror_s_token_comes_from_the_environment() -> None:
    settings = CondaSettings(mirrors={"conda-forge": "https://m/t/${TOKEN}/cf", "https://prefix.dev/x": "https://m/x/"})
    assert mirrors(settings, {"TOKEN": "tk"}) == (
        (CONDA_FORGE, "https://m/t/tk/cf/"),
        ("https://prefix.dev/x/", "https://m/x/"),
    )
