"""From what reached the bot to its answer: parsed once, authorised, then handled by its kind (query, operation, decision, form)."""
