"""How fast nst is, beside what it is measured against."""
