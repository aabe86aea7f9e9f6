"""A simulated world: the network, the clock, the disk and the processes of a batch, all from one seed."""
