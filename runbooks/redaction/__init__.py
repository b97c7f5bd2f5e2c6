"""What must never leave the process: every text on its way out passes `redactor`."""
