"""Fingerprints: whether a local checkout changed since we last asked Nix."""

from nixeryd.sources.fingerprint.checkout import Checkout, open_checkout

__all__ = ["Checkout", "open_checkout"]
