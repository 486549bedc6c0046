"""The analysis `motif-insertion`: the activity of transcription factors in each cell, from motifs in shuffled peaks."""
