"""Package sources: from configuration and a tag to something that can be evaluated."""
