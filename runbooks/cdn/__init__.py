"""The content delivery network in front of the frontend: what it caches is invalidated after a release changed."""
