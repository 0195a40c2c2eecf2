"""What searches are made of: options, scores, constraints, states, and hypotheses, which they all return."""
