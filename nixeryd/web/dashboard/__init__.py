"""The page at the daemon's address: what it does, as people like to see it.

Rendered here from the same values as the API's answers; everything is escaped.
Nothing is inline and nothing comes from elsewhere, which the content security
policy holds the browser to.
"""
