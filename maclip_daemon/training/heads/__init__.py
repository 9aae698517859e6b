"""The last layers of a tower: views seen from above its pooling, and a stage that trains only them."""
