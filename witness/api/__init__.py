"""HTTP for witnesses: `routes` is the table, one module per resource; handlers are parse, one call, encode."""
