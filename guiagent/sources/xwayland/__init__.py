"""Windows of a rootless Xwayland, which draws them into memory that can be shared as it is: nobody copies a pixel."""
