"""What a person looks at: scores, tables, figures."""
