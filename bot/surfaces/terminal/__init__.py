"""The terminal: `omnicare …` talks to the running bot over HTTP on a Unix socket, where the kernel says who calls.

`server` belongs to the bot, `client` and `conversation` to the program; `wire_format` is what goes between them. A card is shown in
plain lines for a pipe (`plain`), in tables and colour for a person (`colour`), as JSON for a script (`json_document`); `screen` chooses,
and `words` has what all of them say in the same way.
"""
