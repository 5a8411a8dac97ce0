"""The agent: a request in plain words in, verified spec changes out."""
