"""`tlog serve --workers N`: front ends in processes of their own, one process that commits, and one that watches over them."""
