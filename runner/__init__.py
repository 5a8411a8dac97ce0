"""The only composer: loads specs, reads state, plans, applies, and talks to the user."""
