"""Container engines as a user has them: which are here, and whether they see the store.

They are called as their command lines, and only to look; what runs an image is the
user's own shell, or `nixeryd run` in its stead.
"""
