"""What the tests share, and no test: servers, sites, clients, databases, pages of the docs."""
