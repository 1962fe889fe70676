"""What corrects the rows of a deep model: cells drawn again by trees, and rows thinned by a density ratio."""
