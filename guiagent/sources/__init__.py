"""Where an AppVM's windows come from. `base` is the contract, `registry` the list."""
