"""Image builds: one per image at a time, shared by all who ask, remembered."""
