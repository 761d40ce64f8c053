"""`expclip crop`: cropping, and the record from which it resumes."""
