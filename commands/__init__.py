"""The product's menu: one module per subcommand, found by `commands.kit.registry`."""
