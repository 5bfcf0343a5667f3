"""Compare pictures of style transfers: judges that no run optimized, and a baseline from another project."""
