"""The discovery stage: events and scans become photos and jobs."""
