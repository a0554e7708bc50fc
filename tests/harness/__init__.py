"""What the tests share."""

# Environment: the directory where the processes of a run share furnished stores (lived_in.py).
HOUSES = "PARLEY_TEST_HOUSES"
