"""`expclip report`: the page, its charts, its tables, and the libraries that it carries along."""
