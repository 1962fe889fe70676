"""What the service answers, a file per subject."""
