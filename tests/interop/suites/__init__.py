"""Programs that run the test suites of other projects against our server.

Each replaces the server that the suite starts, and nothing else of it.
"""
