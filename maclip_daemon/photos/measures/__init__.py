"""What is measured on a photo's pixels: focus, motion, noise, clipped light, JPEG damage, true resolution."""
