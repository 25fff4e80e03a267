"""Parts of the documentation's build: what Sphinx does not know of this library."""
