"""The explorer: a page that shows the served bundle's items on a map, and the data it reads."""
