"""The job queue: jobs, leases, and the photos whose stars are due."""
