"""The market of HTX's sandbox exchange: its streams and its public answers. Accounts and orders are not here."""
