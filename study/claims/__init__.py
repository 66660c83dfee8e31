"""The claims of claims.toml: their rules, their verdicts and the table of them."""
