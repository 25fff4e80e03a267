"""Finding servers."""
