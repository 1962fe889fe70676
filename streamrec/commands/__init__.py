"""Commands that work on the folder of a finished run."""
