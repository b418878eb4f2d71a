"""The pull-through mirror: other registries' images, fetched once and then here."""
