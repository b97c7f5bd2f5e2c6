"""`omnicare doctor`: looks at everything that is configured, one by one, and says what to do for each failure.

Used by `bot.cli`. It changes nothing and needs no running bot; run it as the account that the bot runs as. `examination` has the
list of checks, `here` and `outside` and `book` the checks, `access` what the bot needs of a cluster.
"""
