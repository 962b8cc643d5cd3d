"""Models of tables with columns of any kind: categories, missing cells, dates, beside numbers."""
