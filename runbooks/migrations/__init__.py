"""Changes of the database's schema that belong to a release: planned, run as a Job from its image, and taken into account going back."""
