"""What people ask the library: rankings, distribution, status."""
