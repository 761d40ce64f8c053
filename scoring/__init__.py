"""What follows from arrays: samples, prompts and heads give similarities, predictions, scores and intervals."""
