"""Amazon's APIs that runbooks use: a bucket in S3."""
