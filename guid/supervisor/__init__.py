"""The process that keeps all workers alive, knows which VM is shown where, and answers the control socket."""
