"""Look at the machine and say what is wrong, and what to type about it.

Looks only: nothing is written, no daemon is needed. Each module looks at one
thing and gives findings; a check that cannot be made is a note, never a crash.
"""
