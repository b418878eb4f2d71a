"""Fingerprints: has a local checkout changed since we last asked Nix?"""
