"""Running work: the loop of optimizer steps on Lightning Fabric, checkpoints, signals and progress."""
