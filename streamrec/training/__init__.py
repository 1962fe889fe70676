"""The one training loop; needs nothing but torch."""
