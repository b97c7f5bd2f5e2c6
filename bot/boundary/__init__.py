"""What enters and leaves the process: the values between surfaces and dispatch, and the redaction of all that goes out."""
