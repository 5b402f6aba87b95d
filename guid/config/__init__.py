"""What the user has written in guid.toml, checked: VMs, labels, GUI domains, and rules between VMs."""
