"""Parts of networks, and how they are trained. These modules load torch: import them inside methods."""
