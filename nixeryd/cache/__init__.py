"""The cache as its owner sees it: what is in it, how large, what may go."""
