"""What is told while a Jupyter server of ours is installed."""

from __future__ import annotations

from perijove.backends.environments.server import tell_large


def test_it_is_told_what_takes_long_and_not_each_package() -> None:
    told: list[str] = []
    for line in (
        "Using Python 3.11.7 environment at: env",
        "Downloading jupyterlab (16.5MiB)",
        " Downloaded jupyterlab",
        "Prepared 92 packages in 38.0s",
        "Installed 92 packages in 2.1s",
        " + jupyterlab==4.5.0",
    ):
        tell_large(line, told.append)
    assert told == [
        "Downloading jupyterlab (16.5MiB)", "Prepared 92 packages in 38.0s", "Installed 92 packages in 2.1s"
    ]  # fmt: skip
