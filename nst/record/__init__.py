"""What a run leaves in its folder: record.json, losses, pictures, and where they came from."""
