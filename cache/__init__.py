"""Where tensors live: feature stores, their keys and receipts, and finding them again."""
