"""Whether a challenger becomes champion, and how that is decided, forced and taken back."""
