import trio

from nixeryd.builder.tickets import KEPT, Tickets
from nixeryd.runtime.flight import Flight


async def test_a_ticket_finds_its_flight_and_is_renewed(autojump_clock):
    tickets = Tickets()
    flight = Flight()
    ticket = tickets.issue(flight, "image")
    await trio.sleep(KEPT - 1)
    assert tickets.find(ticket, "image") is flight
    assert tickets.issue(flight, "image", ticket) == ticket
    await trio.sleep(KEPT - 1)
    assert tickets.find(ticket, "image") is flight
    await trio.sleep(2)
    assert tickets.find(ticket, "image") is None


async def test_a_ticket_is_good_for_its_owner_only():
    tickets = Tickets()
    ticket = tickets.issue(Flight(), "image")
    assert tickets.find(ticket, "another") is None
    assert tickets.find("forged", "image") is None
    assert tickets.find(None, "image") is None


async def test_old_tickets_are_swept(autojump_clock):
    tickets = Tickets()
    for _ in range(10):
        tickets.issue(Flight(), "image")
    await trio.sleep(KEPT + 1)
    tickets.issue(Flight(), "image")
    assert len(tickets) == 1
