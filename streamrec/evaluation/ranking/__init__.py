"""How well items are ranked for users: full rankings, their metrics, and recommenders side by side."""
