"""A registry of your own Nix store, and the mirror of everybody else's."""

__version__ = "0.1.0"
