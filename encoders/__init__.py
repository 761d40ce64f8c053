"""The frozen models: what each node of the flow is, and how it is loaded and run."""
