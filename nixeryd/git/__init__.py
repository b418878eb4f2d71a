"""Effects: what nixeryd asks of git, whose repositories it leaves as they are."""
