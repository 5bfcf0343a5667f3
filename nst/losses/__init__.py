"""What a run minimizes: content and style losses, priors, and the objective that adds them up."""
