"""`omnicare doctor`: checks everything that is configured, and says how to fix each failure.

Used by `bot.cli`. It changes nothing and needs no running bot; run it with the bot's account. `examination` has the
list of checks, `here` and `outside` and `audit_log` the checks, `access` what the bot needs of a cluster.
"""
