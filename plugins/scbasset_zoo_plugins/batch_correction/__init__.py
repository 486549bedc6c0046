"""The analysis `batch-correction`: a batch-corrected model beside other corrections of the same cells."""
