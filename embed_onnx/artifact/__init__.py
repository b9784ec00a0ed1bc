"""What lies on disk between exporting and serving: the manifest, and models.txt."""
