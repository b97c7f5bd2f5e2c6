"""Cards in a terminal: plain lines for a pipe, tables and colour for a person, JSON for a script.

`words` has what all three say in the same way; `plain`, `colour` and `document` are the three; `screen` chooses and follows.
"""
