"""Models of tables with columns of any kind: numbers, categories and dates, with missing cells."""
