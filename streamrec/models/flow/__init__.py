"""Flow matching: from noise at t = 0 to data at t = 1 along an ordinary differential equation."""
