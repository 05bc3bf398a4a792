"""What has to be worked out."""
