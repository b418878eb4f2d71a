"""What a daemon runs on: shared flights, child processes, locks, logs, metrics.

Knows nothing of images, Nix or HTTP. Imported by everything above `config`.
"""
