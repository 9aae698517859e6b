"""What a bulk run does with each photo, in workers of Ray: decode, score, write."""
