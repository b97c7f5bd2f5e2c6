"""Scripts of the application that the configuration names, and nothing else: in a ready pod, or as a Job."""
