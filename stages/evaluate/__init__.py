"""`expclip evaluate`: what is asked, what is compared, and its scores."""
