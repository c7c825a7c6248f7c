"""Questions, and the prompts that are made of them."""
