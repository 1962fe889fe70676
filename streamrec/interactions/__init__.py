"""Who consumed what and when: users, events, splits."""
