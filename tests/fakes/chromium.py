"""A real Chromium, as tests start it: where it is, and with which flags."""

from __future__ import annotations

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-features=LocalNetworkAccessChecks,HttpsUpgrades",  # pages elsewhere are made up
    "--disable-sync",
)
