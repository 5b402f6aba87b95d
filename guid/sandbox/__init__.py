"""What a process gives up for good, so that an AppVM that takes it over gains nothing."""
