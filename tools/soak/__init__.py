"""The soak: runs that are killed at random moments, and files that are not what they should be, for hours."""
