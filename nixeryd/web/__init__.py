"""The HTTP side: the registry protocol, the JSON API, and who may ask.

Layers inside, each knowing only those below: `app` puts the parts together;
`registry` and `api` answer requests; `errors` renders failures; `bodies` sends
blobs; `guard` decides who may ask. `serve` and `connection` know sockets and
HTTP/1.1 and nothing of registries; `listen` and `systemd` make the sockets.
What the answers are made of comes in through `ports`.
"""
