"""Mean and standard deviation of ImageNet, RGB in [0, 1]: with these the inputs of every network are normalised."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
