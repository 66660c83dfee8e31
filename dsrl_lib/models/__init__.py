"""The DSRL framework and the parts that it is made of."""
