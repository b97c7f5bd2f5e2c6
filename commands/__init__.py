"""The product's menu: one module per command, in groups, found by `commands.kit.registry`."""
