"""Effects: what nixeryd asks of Nix.

Find it (installation), run it (process), evaluate names, realise derivations,
read closures, hold GC roots. Nothing else runs in Nix.
"""
