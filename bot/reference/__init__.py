"""The pages of `docs/reference`, each made from the definitions that it describes. Written by `generate`."""
