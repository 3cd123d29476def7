"""Population losses of BaseConv: their stationary points, Thm. 4.1 and what it leaves out."""
