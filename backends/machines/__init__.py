"""What all backends share whose AppVMs are machines of their own: their system, their disks, commands in them."""
