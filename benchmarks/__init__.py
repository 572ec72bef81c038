"""gatesmith against its peers, side by side in one run; tests never time anything, this does."""
