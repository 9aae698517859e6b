"""Notifications and pings of a health checker; both in threads of their own."""
