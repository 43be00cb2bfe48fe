"""HTTP: the engines that send requests and give replies."""
