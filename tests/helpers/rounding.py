"""How far results may differ because their float32 sums were taken in another order."""

ROUNDING = 2.5e-5
"""Largest such difference of embeddings and logits in these tests, and four times that of probabilities.

Processors, numbers of threads and sizes of batches decide the order of sums. A layer then differs by some units in the last place
of its largest value, which are 1.2e-7 of it. The values of these networks are below 10, and they have up to ten layers: 10 layers
x 2 units x 1.2e-7 x 10 = 2.4e-5. What these tests look for, such as a swapped cell or base, differs by 1e-3 and more.
"""
