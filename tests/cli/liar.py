"""A daemon that answers what it is told to: what a registry can have us show."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def lying(data: Path, answers: Mapping[str, object]) -> Iterator[None]:
    """Answer on the admin socket of a data directory, by the beginning of the path.

    A list is told as JSON lines, bytes as they are, all else as JSON.
    """
    data.mkdir(mode=0o700, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(data / "admin.sock"))
    listener.listen()
    thread = threading.Thread(target=_serve, args=(listener, answers))
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
        (data / "admin.sock").unlink()


def _serve(listener: socket.socket, answers: Mapping[str, object]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, client.makefile("rwb") as stream:
            path = stream.readline().split()[1].decode()
            length = 0
            while line := stream.readline().strip():
                name, _, text = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(text)
            stream.read(length)
            known = [begin for begin in answers if path.startswith(begin)]
            answer = answers[max(known, key=len)] if known else {}
            match answer:
                case bytes():
                    body = answer
                case list():
                    body = b"".join(json.dumps(one).encode() + b"\n" for one in answer)
                case _:
                    body = json.dumps(answer).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n"
            stream.write(f"{head}Connection: close\r\n\r\n".encode() + body)
