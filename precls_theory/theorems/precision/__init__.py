"""What floating point does to exact networks."""
