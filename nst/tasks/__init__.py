"""The LightningModules: what is optimised, and one step of it."""
