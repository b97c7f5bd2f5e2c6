"""The terminal: `omnicare …` talks to the running bot over HTTP on a Unix socket, where the kernel identifies the caller.

`server` belongs to the bot, `client` and `conversation` to the program; `wire_format` defines their messages. A card is shown in
plain lines for a pipe (`plain`), in tables and colour for a person (`colour`), as JSON for a script (`json_document`); `screen` chooses,
and `words` has what they share.
"""
