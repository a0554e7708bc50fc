"""What the tests share."""

HOUSES = "PARLEY_TEST_HOUSES"       # environment: where the processes of a run share furnished stores
