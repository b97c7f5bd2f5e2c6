"""The terminal's way in: HTTP over a Unix socket, where the kernel says who calls.

`server` belongs to the running bot, `client` to `omnicare …`; `wire` is what goes between them.
"""
