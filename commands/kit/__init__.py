"""How a command is declared: spec, argument types, policy, card, registry."""
