"""From a request to finished shards: what is missing, in which order, on which machine."""
