"""From fragments and called peaks to cells x peaks."""
