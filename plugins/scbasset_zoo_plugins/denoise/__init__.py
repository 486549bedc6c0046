"""The analysis `denoise`: accessibility without each cell's depth, compared with counts, groups and RNA."""
