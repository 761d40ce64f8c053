"""What is trained: projection heads on cached features."""
